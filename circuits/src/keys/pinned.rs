/// Pinned development keys: rows are chunk sizes, columns K4, K8 part 0, K8 part 1.
/// Written by `cargo run -p salus-prover --example pin_keys`.
static PINNED: [[Pinned; 3]; 3] = [
    [
        Pinned {
            rows: 8048,
            circuit_id: "e1ca5edcd6addca5c64dda376925838dd1779e58ac4c0f4960f46b236786213e",
            digest: "743f297a6b8210c73cd7b256fe34803acc94eef9e02427f470609463dde68470",
        },
        Pinned {
            rows: 7284,
            circuit_id: "3aea46f5b1ce3d685d698fe04cc31fba465d216b9784d3fdbc41e0a975900648",
            digest: "e2b446eb8345ec0c7e0d327a1c3afe1fc3a08f4f41295f09e39c6cad56a6849e",
        },
        Pinned {
            rows: 7284,
            circuit_id: "e2b79a0510bc963759694315d5955b769737364b5d0b1284167d8927e7e9b1f3",
            digest: "097b708826743532fee0300b265811f3711d871e00007318ba3cde4a802ad620",
        },
    ],
    [
        Pinned {
            rows: 16378,
            circuit_id: "76f3ebeda598c3e690f5d2c9bf453bc52a265c18ae10fec398a047c530388490",
            digest: "521e93ff7f5bb4cff25503e649bb9e56c61ea00fc8df890f02b34d3de2dc1c2d",
        },
        Pinned {
            rows: 15614,
            circuit_id: "5cbff63676459884a3c30fd610cbb30b90a4a1573cca496fcc08162e280c11ef",
            digest: "5b4a2c0ad02180ffe5b1e02e22ddf2e5af1593ec4b4139a18f654accfe83104c",
        },
        Pinned {
            rows: 15614,
            circuit_id: "c971e92ae65c270928e0174f714d1daa23535370aee1ddd0549343d716ab3c29",
            digest: "74e0eb86c0b8d3085115450c7b3d48e135540f76fd1056f9c5791f6264dd11c3",
        },
    ],
    [
        Pinned {
            rows: 65528,
            circuit_id: "c24d1b2ca448a8a73f26728e9c0f3aac3e26d9c43190699bc79422807451c147",
            digest: "2663ad75e7a41c13202f74dac570b74323a6c826492f7b679c9e1eba7fb2e0d2",
        },
        Pinned {
            rows: 64764,
            circuit_id: "fb8c8a2f0435c016bba32a766c43959d866132f72b388c1a90444e95861b98bf",
            digest: "0804182cc8c74858ec3d3baeda9e8f621475433d2be3d0669e2e10ab0349a132",
        },
        Pinned {
            rows: 64764,
            circuit_id: "fc152bfa62df888a9546df1306320aaeaf8cceab7c5c3cd3a6f7aca817e4dd39",
            digest: "95b6db221d8f8955ae6e0781dce32c282dd21159e1127c16cf72d9414184f8b7",
        },
    ],
];
