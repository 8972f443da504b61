"""Recurrent layers in PyTorch, by the name of the cell: its own, and those that it lacks, written out step by step."""

import torch


class CoupledLSTM(torch.nn.GRU):
    """c_t = f c_{t-1} + (1 - f) g: the parameters have a GRU's shapes, all else is that of torch.nn.LSTM."""

    def forward(self, x, state=None):
        finals = []
        for layer in range(self.num_layers):
            U, W, b, d = (getattr(self, f"{n}_l{layer}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
            h, c = (each[layer] for each in state) if state else torch.zeros(2, x.shape[1], W.shape[1]).to(x)
            outputs = []
            for step in x:
                f, g, o = (step @ U.T + b + h @ W.T + d).chunk(3, dim=1)
                f, g, o = f.sigmoid(), g.tanh(), o.sigmoid()
                c = f * c + (1 - f) * g
                h = o * c.tanh()
                outputs.append(h)
            x = torch.stack(outputs)
            finals.append((h, c))
        return x, tuple(torch.stack(each) for each in zip(*finals, strict=True))


TORCH_CELLS = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "cifg": CoupledLSTM}
