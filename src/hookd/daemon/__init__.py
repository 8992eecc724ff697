"""The composition root: what runs (`parts`), in which order (`running`), and what it shows of itself."""
