//! Codebooks, records, the query model (JSON and SQL) and planning into public tables.
