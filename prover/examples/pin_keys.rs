//! Prints the table of pinned development keys for `circuits/src/keys/pinned.rs`.

use salus_circuits::keys::{DevelopmentKey, ProvingKey};
use salus_circuits::layout::ChunkSize;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "/// Pinned development keys: rows are chunk sizes, columns K4, K8 part 0, K8 part 1."
    );
    println!("/// Written by `cargo run -p salus-prover --example pin_keys`.");
    println!("static PINNED: [[Pinned; 3]; 3] = [");
    for size in [ChunkSize::Tiny, ChunkSize::Small, ChunkSize::Standard] {
        println!("    [");
        for id in DevelopmentKey::family(size) {
            let key = id.generate(false)?;
            let circuit: String = key
                .vk
                .circuit_id()
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            let digest = ProvingKey::digest_of(&key.to_bytes()?);
            println!("        Pinned {{");
            println!("            rows: {},", id.shape().rows());
            println!("            circuit_id: \"{circuit}\",");
            println!("            digest: \"{digest}\",");
            println!("        }},");
        }
        println!("    ],");
    }
    println!("];");
    Ok(())
}
