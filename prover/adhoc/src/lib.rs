//! Bootstrapped queries on tfhe: proven compact lists, AND, histogram, exact digits, squashed openings.
