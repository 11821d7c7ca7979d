"""The features of documents: what the quality rules compare, measured over Arrow's byte buffer by compiled loops."""
