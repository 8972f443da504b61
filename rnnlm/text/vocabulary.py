BOS, EOS, UNK = 0, 1, 2
