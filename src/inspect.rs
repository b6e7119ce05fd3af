//! What a GGUF file or a checkpoint is, and what it needs to run.
