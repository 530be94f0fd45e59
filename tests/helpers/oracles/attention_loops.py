"""Self-attention place by place, in loops."""

import numpy as np


def attend_by_loops(x, weights, num_heads, key_depth, value_depth):
    """Equations 1 to 4, place by place; returns (output, attention map) in float64."""
    kqv_kernel, output_kernel, kqv_bias, output_bias, r_width, r_height = weights
    batch, height, width, _ = x.shape
    dkh, dvh = key_depth // num_heads, value_depth // num_heads
    table_w, table_h = len(r_width) // 2, len(r_height) // 2  # the greatest offsets
    output = np.zeros((batch, height, width, value_depth))
    maps = np.zeros((batch, num_heads, height * width, height * width))
    for b in range(batch):
        kqv = x[b] @ kqv_kernel + kqv_bias
        for n in range(num_heads):
            k = kqv[..., n * dkh : (n + 1) * dkh]
            q = kqv[..., key_depth + n * dkh : key_depth + (n + 1) * dkh]
            v = kqv[..., 2 * key_depth + n * dvh : 2 * key_depth + (n + 1) * dvh]
            for iy in range(height):
                for ix in range(width):
                    logits = np.zeros((height, width))
                    for jy in range(height):
                        for jx in range(width):
                            dx = min(max(jx - ix, -table_w), table_w)
                            dy = min(max(jy - iy, -table_h), table_h)
                            position = r_width[dx + table_w] + r_height[dy + table_h]
                            logits[jy, jx] = q[iy, ix] @ (k[jy, jx] + position) / np.sqrt(dkh)
                    weight = np.exp(logits - logits.max())
                    weight /= weight.sum()
                    maps[b, n, iy * width + ix] = weight.reshape(-1)
                    for jy in range(height):
                        for jx in range(width):
                            output[b, iy, ix, n * dvh : (n + 1) * dvh] += weight[jy, jx] * v[jy, jx]
    return output @ output_kernel + output_bias, maps
