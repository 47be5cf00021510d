//! What a signed transaction to the contracts says, read from its bytes alone.
