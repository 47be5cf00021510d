/// Pinned development keys: rows are chunk sizes, columns K4, K8 part 0, K8 part 1.
static PINNED: [[Pinned; 3]; 3] = [[Pinned { rows: 0, circuit_id: "", digest: "" }; 3]; 3];
