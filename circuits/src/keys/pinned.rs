/// Pinned development keys: rows are chunk sizes, columns K4, K8 part 0, K8 part 1.
/// Written by `cargo run -p salus-prover --example pin_keys`.
static PINNED: [[Pinned; 3]; 3] = [
    [
        Pinned {
            rows: 8049,
            circuit_id: "dfb92bc5cb4adffbbb6f1b824b17eff7a15e2f5922341538018d7d0e237449d2",
            digest: "e14e3ba85aca55ee529e52b42a0fbc4bbca2b0a175a9d22664a0f6527629730c",
        },
        Pinned {
            rows: 7285,
            circuit_id: "44e2b2e6fa25c48cc480f44a1d8240595543c0db3c5ae5684cf6907a811bbfce",
            digest: "99bb2d6b2a6d8d8018a6a713890d93911e2074011a9777405b3e39a21d05e9f4",
        },
        Pinned {
            rows: 7285,
            circuit_id: "a30a689e3a8bac1bf9da88420da3be0abdee6217c83ff6cbe22801602ee7fd54",
            digest: "dae1ca21b8cdbba9f5856fc719099b3cac37b33e8be88ffc70bac31dd5c96725",
        },
    ],
    [
        Pinned {
            rows: 16379,
            circuit_id: "8781e369d64fbf7f85a7b951ee2486de1c8e51f5e5614c9832f3bf4f1b2097ab",
            digest: "333a7eeca0ccccd8a6492a96da3445c0dd5efc855419985baa7bbaef3af7941a",
        },
        Pinned {
            rows: 15615,
            circuit_id: "42147978235fd56fa8e8debed12ddee9e03dc8650cf16df23e3a7bcc87a8be6a",
            digest: "348f6497a74e645156cd4e2a0b86ec46e273a664f171adefeba20b9cb6a0d2d2",
        },
        Pinned {
            rows: 15615,
            circuit_id: "c8f131bac59990bf4948d1e6a6537ee6ce134f1a2eda60c19ebf9b25bdea003f",
            digest: "2fee30f4192a1d014c56ed24436dad73e7dbde0884721b11811e7e3851cb7c60",
        },
    ],
    [
        Pinned {
            rows: 65529,
            circuit_id: "27fd8f33cf6a461dbd9c17a9a5c45c5caafad1e22607513718424a081e81b333",
            digest: "fa6e1c6f116ee03397ba49ba60d77863058b86aee42da31b0efb0ce7e751a17c",
        },
        Pinned {
            rows: 64765,
            circuit_id: "ff91f83fda63f918e21b53587bf3f3fed9c1fc97810b0e0c4e8998f34bb8c161",
            digest: "c62a434e5166509797cdcb4420569b6c59e885f56ed269db2f0a02cee51b8ebf",
        },
        Pinned {
            rows: 64765,
            circuit_id: "772fd5846feb522250a910d47476002bba8933f1961a40cf9dff3913e41d1118",
            digest: "a85d273223f9d2d2ba412703980be827740aa3dfb439463b082d4f7454427dfa",
        },
    ],
];
