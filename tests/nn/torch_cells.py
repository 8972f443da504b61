"""Recurrent layers in PyTorch by the name of the cell; cells that torch lacks are computed step by step."""

import torch


class CoupledLSTM(torch.nn.GRU):
    """c_t = f c_{t-1} + (1 - f) g: parameters have the shapes of a GRU, everything else is as in torch.nn.LSTM."""

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


class MinimalGRU(torch.nn.Module):
    """h_t = (1 - z) h_{t-1} + z g, where z and g do not depend on h_{t-1}."""

    def __init__(self, width, hidden_size, num_layers, **options):
        super().__init__()
        self.num_layers = num_layers
        for layer in range(num_layers):
            linear = torch.nn.Linear(hidden_size if layer else width, 2 * hidden_size, **options)
            self.register_parameter(f"weight_ih_l{layer}", linear.weight)
            self.register_parameter(f"bias_ih_l{layer}", linear.bias)

    def forward(self, x, state=None):
        finals = []
        for layer in range(self.num_layers):
            h, outputs = 0 if state is None else state[layer], []
            for step in x:
                a = step @ getattr(self, f"weight_ih_l{layer}").T + getattr(self, f"bias_ih_l{layer}")
                z, g = a.chunk(2, dim=1)
                h = (1 - z.sigmoid()) * h + z.sigmoid() * g.tanh()
                outputs.append(h)
            x = torch.stack(outputs)
            finals.append(h)
        return x, torch.stack(finals)


TORCH_CELLS = {
    "rnn": torch.nn.RNN,
    "gru": torch.nn.GRU,
    "lstm": torch.nn.LSTM,
    "cifg": CoupledLSTM,
    "mingru": MinimalGRU,
}
