"""The compiled loop of language identification: walk the automaton over a text's bytes, add up what its features weigh."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.compiled import compiled


@compiled
def language_scores(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], moves: NDArray[np.uint32], rows: NDArray[np.int64], features: NDArray[np.int32],
    weights: NDArray[np.float32], damped: NDArray[np.float32], counts: NDArray[np.int32], seen: NDArray[np.int32],
    result: NDArray[np.float32],
) -> None:  # fmt: skip
    """Add to result[text] each feature's row of weights times what its count weighs; a text without features stays as it is."""
    languages = weights.shape[1]
    for text in range(len(offsets) - 1):
        state, number = np.int64(0), 0
        for place in range(offsets[text], offsets[text + 1]):
            state = np.int64(moves[rows[state] + np.int64(data[place])])
            feature = features[state]
            if feature >= 0:
                if counts[feature] == 0:
                    seen[number] = feature
                    number += 1
                counts[feature] += 1
        for index in range(number):
            feature = seen[index]
            factor = damped[min(counts[feature], len(damped) - 1)]
            counts[feature] = 0
            for language in range(languages):
                result[text, language] += factor * weights[feature, language]
        result[text, languages] = number
