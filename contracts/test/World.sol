// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AnswerVerifier} from "../src/AnswerVerifier.sol";
import {Committee} from "../src/Committee.sol";
import {CohortRegistry} from "../src/CohortRegistry.sol";
import {QueryMarket} from "../src/QueryMarket.sol";
import {RewardPool} from "../src/RewardPool.sol";
import {SalusToken} from "../src/SalusToken.sol";
import {SignatureClaimVerifier} from "../src/SignatureClaimVerifier.sol";
import {AnswerContext, PassResult} from "../src/interfaces/IAnswerVerifier.sol";
import {AnswerTerms, DatasetParams, Member} from "../src/interfaces/ICohortRegistry.sol";
import {QueryRequest} from "../src/interfaces/IQueryMarket.sol";
import {Claim} from "../src/interfaces/IRewardPool.sol";
import {Bn254} from "../src/proof/Bn254.sol";
import {Base} from "./Base.sol";
import {SimulatedProver} from "./SimulatedProver.sol";

/// @title A deployed market with one dataset, and the people who use it
abstract contract World is Base {
    uint256 internal constant COLUMNS = 5;
    uint96 internal constant PRICE = 1_000_000;
    uint16 internal constant REWARD_BPS = 7_000;
    uint32 internal constant MIN_COHORT = 10;
    uint32 internal constant MIN_CELL = 5;
    bytes32 internal constant PURPOSES = bytes32(uint256(5));
    uint64 internal constant EXPIRY = 10;

    address internal constant ADMIN = address(0xA11CE);
    address internal constant CUSTODIAN = address(0xC057);
    address internal constant ISSUER = address(0x1551);
    address internal constant RESEARCHER = address(0x4E5);

    AnswerVerifier internal verifier;
    CohortRegistry internal registry;
    SignatureClaimVerifier internal claimVerifier;
    RewardPool internal pool;
    Committee internal committee;
    QueryMarket internal market;
    SalusToken internal token;
    bytes32[3] internal circuits;
    uint256 internal dataset;

    function deploy() internal {
        vm.warp(1_700_000_000);
        verifier = new AnswerVerifier();
        registry = new CohortRegistry(verifier);
        claimVerifier = new SignatureClaimVerifier(registry);
        pool = new RewardPool(registry, claimVerifier);
        committee =
            new Committee(registry, pool, vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1));
        market = new QueryMarket(registry, verifier, pool, committee);
        token = new SalusToken();
        for (uint256 i = 0; i < 3; i++) {
            circuits[i] = verifier.registerCircuit(SimulatedProver.circuitWords(SimulatedProver.Circuit(i)));
        }
        dataset = createDataset();
        token.mint(RESEARCHER, 1e30);
        vm.prank(RESEARCHER);
        token.approve(address(market), type(uint256).max);
    }

    function params() internal view returns (DatasetParams memory p) {
        p.schemaHash = keccak256("schema");
        p.purposes = PURPOSES;
        p.columns = uint16(COLUMNS);
        p.circuitK4 = circuits[0];
        p.circuitK8Low = circuits[1];
        p.circuitK8High = circuits[2];
        p.minCohort = MIN_COHORT;
        p.minCell = MIN_CELL;
        p.rewardBps = REWARD_BPS;
        p.custodian = CUSTODIAN;
        p.token = address(token);
        p.price = PRICE;
    }

    function createDataset() internal returns (uint256 id) {
        vm.startPrank(ADMIN);
        id = registry.createDataset(params());
        registry.setIssuer(id, ISSUER, true);
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- people

    /// @notice Private key of the person in a slot.
    function keyOf(uint32 chunk, uint32 slot) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("member", chunk, slot))) >> 8;
    }

    function addressOf(uint32 chunk, uint32 slot) internal pure returns (address) {
        return vm.addr(keyOf(chunk, slot));
    }

    /// @notice A valid registration.
    function person(uint32 chunk, uint32 slot) internal view returns (Member memory) {
        return person(dataset, chunk, slot, EXPIRY, 0, 0);
    }

    function person(uint256 id, uint32 chunk, uint32 slot, uint64 expiryEpoch, uint256 nonce, uint256 seed)
        internal
        view
        returns (Member memory m)
    {
        m.slot = slot;
        m.member = addressOf(chunk, slot);
        m.expiryEpoch = expiryEpoch;
        m.purposes = PURPOSES;
        m.payoutId = keccak256(abi.encode("payout", chunk, slot));
        m.nonce = nonce;
        uint256 base = SimulatedProver.slotBase(slot);
        (m.basisX, m.basisY) = Bn254.mul(1, 2, base);
        m.path = SimulatedProver.basisPath(slot);
        m.commitments = new uint256[](2 * COLUMNS);
        for (uint256 l = 0; l < COLUMNS; l++) {
            (m.commitments[2 * l], m.commitments[2 * l + 1]) =
                Bn254.mul(1, 2, exponentOf(openingOf(chunk, slot, l, seed), blindingOf(chunk, slot, l, seed), base));
        }
        prove(m, id, chunk, seed);
        sign(m, id, chunk);
    }

    function openingOf(uint32 chunk, uint32 slot, uint256 column, uint256 seed) internal pure returns (uint256) {
        return 1 + uint256(keccak256(abi.encode("code", chunk, slot, column, seed))) % 255;
    }

    function blindingOf(uint32 chunk, uint32 slot, uint256 column, uint256 seed) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("blinding", chunk, slot, column, seed))) % Bn254.R;
    }

    function exponentOf(uint256 code, uint256 blinding, uint256 base) internal pure returns (uint256) {
        return addmod(mulmod(code, base, Bn254.R), mulmod(blinding, SimulatedProver.blindingBase(), Bn254.R), Bn254.R);
    }

    /// @notice Replaces the proof of knowledge by one for the openings that `seed` gives.
    function prove(Member memory m, uint256 id, uint32 chunk, uint256 seed) internal view {
        uint256 k1 = SimulatedProver.scalar("k1", seed);
        uint256 k2 = SimulatedProver.scalar("k2", seed);
        (m.rX, m.rY) = Bn254.mul(1, 2, exponentOf(k1, k2, SimulatedProver.slotBase(m.slot)));
        uint256 mu = uint256(
            keccak256(
                abi.encodePacked(
                    keccak256("salus.v1.register"),
                    block.chainid,
                    uint256(uint160(address(registry))),
                    id,
                    uint256(chunk),
                    uint256(m.slot),
                    uint256(uint160(m.member)),
                    m.commitments
                )
            )
        ) % Bn254.R;
        uint256 weight = uint256(keccak256(abi.encode(keccak256("salus.v1.pok"), mu, m.rX, m.rY))) % Bn254.R;
        m.s1 = k1;
        m.s2 = k2;
        for (uint256 l = 0; l < COLUMNS; l++) {
            m.s1 = addmod(m.s1, mulmod(weight, openingOf(chunk, m.slot, l, seed), Bn254.R), Bn254.R);
            m.s2 = addmod(m.s2, mulmod(weight, blindingOf(chunk, m.slot, l, seed), Bn254.R), Bn254.R);
            weight = mulmod(weight, mu, Bn254.R);
        }
    }

    function sign(Member memory m, uint256 id, uint32 chunk) internal view {
        m.signature = signTyped(keyOf(chunk, m.slot), address(registry), consentHash(m, id, chunk));
    }

    function consentHash(Member memory m, uint256 id, uint32 chunk) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256(
                    "Consent(uint256 dataset,uint32 chunk,uint32 slot,bytes32 purposes,uint64 expiryEpoch,bytes32 commitmentsHash,bytes32 payoutId,uint256 nonce)"
                ),
                id,
                chunk,
                m.slot,
                m.purposes,
                m.expiryEpoch,
                keccak256(abi.encodePacked(m.commitments)),
                m.payoutId,
                m.nonce
            )
        );
    }

    function signTyped(uint256 key, address target, bytes32 structHash) internal view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Salus"),
                keccak256("1"),
                block.chainid,
                target
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, structHash)));
        return abi.encodePacked(r, s, v);
    }

    function optOutSignature(uint256 key, uint32 chunk, uint32 slot) internal view returns (bytes memory) {
        return signTyped(
            key,
            address(registry),
            keccak256(abi.encode(keccak256("OptOut(uint256 dataset,uint32 chunk,uint32 slot)"), dataset, chunk, slot))
        );
    }

    function one(Member memory m) internal pure returns (Member[] memory batch) {
        batch = new Member[](1);
        batch[0] = m;
    }

    /// @notice Registers the people of slots 0..count of a chunk.
    function join(uint32 chunk, uint32 count) internal {
        Member[] memory batch = new Member[](count);
        for (uint32 slot = 0; slot < count; slot++) {
            batch[slot] = person(chunk, slot);
        }
        vm.prank(ISSUER);
        registry.optIn(dataset, chunk, batch);
    }

    function takeSnapshot() internal returns (uint32) {
        vm.prank(ADMIN);
        return registry.snapshot(dataset);
    }

    // ---------------------------------------------------------------- queries

    function run(uint256 length, uint256 value, uint256 slope) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(length), uint16(value), uint16(slope));
    }

    /// @notice Three columns and one of padding, three cells, twelve runs.
    function cellsPass() internal pure returns (bytes memory) {
        bytes memory first = bytes.concat(run(1, 1024, 0), run(3, 0, 1), run(1, 0, 0), run(250, 1024, 0));
        bytes memory second = bytes.concat(run(1, 1024, 0), run(40, 0, 0), run(13, 1024, 0), run(201, 0, 0));
        bytes memory third = bytes.concat(run(1, 1024, 0), run(100, 0, 0), run(154, 1024, 0));
        bytes memory head =
            abi.encodePacked(uint8(1), uint8(3), uint64(0), uint16(0), uint16(3), uint16(4), uint16(0), uint16(12));
        return bytes.concat(head, first, second, third, run(255, 0, 0));
    }

    /// @notice Count, sum and sum of squares of one group; the sum of squares is never published.
    function momentsPass() internal pure returns (bytes memory) {
        bytes memory head =
            abi.encodePacked(uint8(0), uint8(3), uint64(4), uint16(2), uint16(1), uint16(2), uint16(2), uint16(6));
        return bytes.concat(
            head, run(1, 1024, 0), run(254, 2, 1), run(10, 0, 0), run(245, 1024, 0), run(255, 0, 0), run(255, 0, 0)
        );
    }

    function plan4(bytes memory passes, uint8 count) internal pure returns (bytes memory) {
        return bytes.concat(abi.encodePacked(uint8(1), uint8(4), count), passes);
    }

    /// @notice Eight columns, of which two are queried.
    function plan8() internal pure returns (bytes memory plan) {
        plan = abi.encodePacked(uint8(1), uint8(8), uint8(1), uint8(1), uint8(2), uint64(0));
        for (uint256 l = 0; l < 8; l++) {
            plan = abi.encodePacked(plan, uint16(l == 1 ? 4 : 0));
        }
        plan = abi.encodePacked(plan, uint16(11));
        plan = bytes.concat(plan, run(1, 256, 0), run(2, 0, 1), run(252, 256, 0), run(100, 0, 0), run(155, 256, 0));
        for (uint256 l = 2; l < 8; l++) {
            plan = bytes.concat(plan, run(255, 0, 0));
        }
    }

    function result(uint64 mask, uint256 rho, uint256 a, uint256 b, uint256 c)
        internal
        pure
        returns (PassResult memory r)
    {
        r.mask = mask;
        r.rho = rho;
        r.values = new uint256[](3);
        (r.values[0], r.values[1], r.values[2]) = (a, b, c);
    }

    function results(PassResult memory r) internal pure returns (PassResult[] memory list) {
        list = new PassResult[](1);
        list[0] = r;
    }

    function results(PassResult memory a, PassResult memory b) internal pure returns (PassResult[] memory list) {
        list = new PassResult[](2);
        (list[0], list[1]) = (a, b);
    }

    function request(bytes memory plan, uint256 nonce) internal view returns (QueryRequest memory r) {
        r.datasetId = dataset;
        r.snapshotId = registry.latestSnapshot(dataset);
        r.planHash = keccak256(plan);
        r.bodyHash = keccak256("body");
        r.token = address(token);
        r.amount = PRICE;
        r.deadline = block.timestamp + 1 days;
        r.nonce = nonce;
    }

    function fund(bytes memory plan, uint256 nonce) internal returns (bytes32) {
        QueryRequest memory r = request(plan, nonce);
        vm.prank(RESEARCHER);
        return market.fund(r);
    }

    function ids(bytes32 queryId) internal pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = queryId;
    }

    function contextOf(bytes32 queryId, uint256 snapshotId, bytes memory plan)
        internal
        view
        returns (AnswerContext memory context, uint256[] memory commitments)
    {
        AnswerTerms memory terms;
        (terms, commitments) = registry.answerInputs(dataset, snapshotId, plan);
        bytes32[] memory ids = new bytes32[](terms.circuitIds[1] == 0 ? 1 : 2);
        for (uint256 part = 0; part < ids.length; part++) {
            ids[part] = terms.circuitIds[part];
        }
        context = AnswerContext(address(market), dataset, snapshotId, queryId, terms.chunks, ids);
    }

    function columnsOf(bytes memory plan) internal pure returns (uint256[] memory columns) {
        uint256 perPass = uint8(plan[1]);
        columns = new uint256[](perPass * uint8(plan[2]));
        uint256 offset = 3;
        for (uint256 i = 0; i < columns.length; i += perPass) {
            for (uint256 l = 0; l < perPass; l++) {
                columns[i + l] = SimulatedProver.u16(plan, offset + 10 + 2 * l);
            }
            uint256 runs = SimulatedProver.u16(plan, offset + 10 + 2 * perPass);
            offset += 12 + 2 * perPass + 5 * runs;
        }
    }

    function simulate(bytes32 queryId, uint256 snapshotId, bytes memory plan, PassResult[] memory list)
        internal
        view
        returns (uint256[] memory)
    {
        (AnswerContext memory context, uint256[] memory commitments) = contextOf(queryId, snapshotId, plan);
        return SimulatedProver.prove(context, plan, list, commitments);
    }

    // ---------------------------------------------------------------- claims

    function claimOf(uint256 snapshotId, uint32 chunk, uint32 slot, address recipient, uint256 fee)
        internal
        view
        returns (Claim memory c)
    {
        c.datasetId = dataset;
        c.snapshotId = snapshotId;
        c.token = address(token);
        c.nullifier = claimVerifier.nullifierOf(dataset, snapshotId, chunk, slot);
        c.recipient = recipient;
        c.fee = fee;
        c.paidBefore = pool.paid(dataset, snapshotId, address(token), c.nullifier);
    }

    function claimProof(Claim memory c, uint32 chunk, uint32 slot, uint256 key) internal view returns (bytes memory) {
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256(
                    "Claim(uint256 dataset,uint256 snapshot,uint32 chunk,uint32 slot,address token,address recipient,uint256 fee,uint256 paidBefore)"
                ),
                c.datasetId,
                c.snapshotId,
                chunk,
                slot,
                c.token,
                c.recipient,
                c.fee,
                c.paidBefore
            )
        );
        return abi.encode(chunk, slot, signTyped(key, address(pool), structHash));
    }
}
