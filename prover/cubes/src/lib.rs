//! Encrypted cubes: ring arithmetic, encryption, running sums, linear forms, upload checks.
