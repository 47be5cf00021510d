// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ICohortRegistry} from "./interfaces/ICohortRegistry.sol";
import {Bn254} from "./proof/Bn254.sol";
import {Plan, PlanPass} from "./proof/Plan.sol";
import {Words} from "./proof/Words.sol";

/// @title Column commitments per chunk, with a version for each snapshot that needs one
/// @notice The first write to a chunk after a snapshot starts a new version; older versions are never written again.
/// Next to the present sums, one sum per (chunk, expiry epoch) lets a lapsed cohort leave in one subtraction per column.
abstract contract ColumnSums {
    uint256 internal constant MAX_COLUMNS = 255;

    struct Point {
        uint256 x;
        uint256 y;
    }

    struct Chunk {
        /// Period of the last version, or zero.
        uint32 latest;
        /// Periods of all versions, ascending.
        uint32[] periods;
    }

    struct Expiry {
        uint32 members;
        /// Period in which the members were removed, or zero.
        uint32 removedAt;
    }

    /// Key: dataset, chunk.
    mapping(uint256 key => Chunk) private _chunks;
    /// Key: dataset, chunk, period.
    mapping(uint256 key => Point[MAX_COLUMNS]) private _versions;
    /// Key: dataset, chunk, epoch.
    mapping(uint256 key => Expiry) private _expiries;
    mapping(uint256 key => Point[MAX_COLUMNS]) private _expirySums;
    /// Key: dataset, epoch. Chunks with members that lapse in the epoch and are not removed yet.
    mapping(uint256 key => uint32) private _expiring;

    // ---------------------------------------------------------------- writes

    /// @dev Adds `members` people, whose commitments sum up to `sums`.
    function _join(
        uint256 datasetId,
        uint32 chunk,
        uint256 period,
        uint32 expiryEpoch,
        uint256[] memory sums,
        uint32 members
    ) internal {
        Expiry storage expiry = _expiries[_key(datasetId, chunk, expiryEpoch)];
        uint32 before = expiry.members;
        if (before == 0) _expiring[_key(datasetId, expiryEpoch)] += 1;
        expiry.members = before + members;
        _apply(datasetId, chunk, period, expiryEpoch, sums);
    }

    /// @dev Removes one person; `sums` holds the negated commitments.
    function _leave(uint256 datasetId, uint32 chunk, uint256 period, uint32 expiryEpoch, uint256[] memory sums)
        internal
    {
        Expiry storage expiry = _expiries[_key(datasetId, chunk, expiryEpoch)];
        uint32 left = expiry.members - 1;
        expiry.members = left;
        if (left == 0) _expiring[_key(datasetId, expiryEpoch)] -= 1;
        _apply(datasetId, chunk, period, expiryEpoch, sums);
    }

    /// @dev Removes everyone of the chunk whose consent lapses in `epoch`; returns how many.
    function _expire(uint256 datasetId, uint32 chunk, uint256 period, uint32 epoch, uint256 columns)
        internal
        returns (uint32 members)
    {
        uint256 key = _key(datasetId, chunk, epoch);
        Expiry storage expiry = _expiries[key];
        members = expiry.members;
        if (members == 0 || expiry.removedAt != 0) revert ICohortRegistry.NothingToExpire();
        expiry.removedAt = uint32(period);
        _expiring[_key(datasetId, epoch)] -= 1;
        Point[MAX_COLUMNS] storage lapsed = _expirySums[key];
        (Point[MAX_COLUMNS] storage from, Point[MAX_COLUMNS] storage to) = _openVersion(datasetId, chunk, period);
        for (uint256 column = 0; column < columns; column++) {
            (to[column].x, to[column].y) =
                Bn254.add(from[column].x, from[column].y, lapsed[column].x, Bn254.negated(lapsed[column].y));
        }
    }

    function _apply(uint256 datasetId, uint32 chunk, uint256 period, uint32 expiryEpoch, uint256[] memory sums)
        private
    {
        Point[MAX_COLUMNS] storage lapsing = _expirySums[_key(datasetId, chunk, expiryEpoch)];
        (Point[MAX_COLUMNS] storage from, Point[MAX_COLUMNS] storage to) = _openVersion(datasetId, chunk, period);
        for (uint256 column = 0; column < sums.length / 2; column++) {
            uint256 x = sums[2 * column];
            uint256 y = sums[2 * column + 1];
            (to[column].x, to[column].y) = Bn254.add(from[column].x, from[column].y, x, y);
            (lapsing[column].x, lapsing[column].y) = Bn254.add(lapsing[column].x, lapsing[column].y, x, y);
        }
    }

    /// @dev Where to read the sums as they stand and where to write them; every column must then be written.
    function _openVersion(uint256 datasetId, uint32 chunk, uint256 period)
        private
        returns (Point[MAX_COLUMNS] storage from, Point[MAX_COLUMNS] storage to)
    {
        Chunk storage head = _chunks[_key(datasetId, chunk)];
        uint256 latest = head.latest;
        from = _versions[_key(datasetId, chunk, latest)];
        to = _versions[_key(datasetId, chunk, period)];
        if (latest != period) {
            head.latest = uint32(period);
            head.periods.push(uint32(period));
        }
    }

    /// @dev sums += points.
    function _addAll(uint256[] memory sums, uint256[] calldata points) internal view {
        for (uint256 i = 0; i < points.length; i += 2) {
            (sums[i], sums[i + 1]) = Bn254.add(sums[i], sums[i + 1], points[i], points[i + 1]);
        }
    }

    /// @dev sums -= points.
    function _subtractAll(uint256[] memory sums, uint256[] calldata points) internal view {
        for (uint256 i = 0; i < points.length; i += 2) {
            (sums[i], sums[i + 1]) = Bn254.add(sums[i], sums[i + 1], points[i], Bn254.negated(points[i + 1]));
        }
    }

    // ---------------------------------------------------------------- reads

    function _expiredAt(uint256 datasetId, uint32 chunk, uint32 epoch) internal view returns (uint256) {
        return _expiries[_key(datasetId, chunk, epoch)].removedAt;
    }

    function _expiringChunks(uint256 datasetId, uint32 epoch) internal view returns (uint32) {
        return _expiring[_key(datasetId, epoch)];
    }

    function _commitment(uint256 datasetId, uint32 chunk, uint256 period, uint256 column)
        internal
        view
        returns (uint256, uint256)
    {
        Point storage point = _version(datasetId, chunk, period)[column];
        return (point.x, point.y);
    }

    /// @dev Per pass, per chunk, per column of the pass: x, y.
    function _commitments(
        uint256 datasetId,
        uint256 chunks,
        uint256 period,
        uint256[] calldata columns,
        uint256 perPass
    ) internal view returns (uint256[] memory words) {
        words = new uint256[](2 * chunks * columns.length);
        uint256 next;
        for (uint256 pass = 0; pass < columns.length; pass += perPass) {
            for (uint256 chunk = 0; chunk < chunks; chunk++) {
                Point[MAX_COLUMNS] storage version = _version(datasetId, uint32(chunk), period);
                for (uint256 position = pass; position < pass + perPass; position++) {
                    Point storage point = version[columns[position]];
                    words[next++] = point.x;
                    words[next++] = point.y;
                }
            }
        }
    }

    /// @dev As `_commitments`, for the columns that a plan's passes name.
    function _commitmentsOf(
        uint256 datasetId,
        uint256 chunks,
        uint256 period,
        bytes calldata plan,
        uint256 passes,
        uint256 perPass,
        uint256 limit
    ) internal view returns (uint256[] memory words) {
        unchecked {
            // No overflow: passes and perPass are bytes, chunks is below 2^32.
            words = new uint256[](2 * passes * chunks * perPass);
            uint256 next;
            assembly ("memory-safe") {
                next := add(words, 0x20)
            }
            uint256 offset = Plan.HEAD_BYTES;
            for (; passes > 0; passes--) {
                PlanPass memory pass = Plan.passAt(plan, offset, perPass);
                offset = pass.end;
                for (uint256 position = 0; position < perPass; position++) {
                    uint256 column = Plan.column(plan, pass, position);
                    if (column >= limit) revert ICohortRegistry.UnknownColumn(column);
                }
                uint256 columnsInput = Words.start(plan) + pass.columns;
                for (uint256 chunk = 0; chunk < chunks; chunk++) {
                    next = _copyColumns(datasetId, chunk, period, columnsInput, perPass, next);
                }
            }
        }
    }

    /// @dev Writes a chunk's commitments of the columns at calldata address `input` (two bytes each) to memory address
    /// `ptr`; returns the address behind them.
    function _copyColumns(uint256 datasetId, uint256 chunk, uint256 period, uint256 input, uint256 count, uint256 ptr)
        private
        view
        returns (uint256 end)
    {
        // A chunk written in the last period before the snapshot has its version right there. Only when there is
        // nothing (or nobody is left, which reads the same) is the version looked up.
        Point[MAX_COLUMNS] storage version = _versions[_key(datasetId, chunk, period)];
        uint256 first;
        assembly ("memory-safe") {
            first := shr(240, calldataload(input))
        }
        if (version[first].x == 0) version = _version(datasetId, uint32(chunk), period);
        assembly ("memory-safe") {
            end := add(ptr, shl(6, count))
            for {} lt(ptr, end) { input := add(input, 2) } {
                // A point takes two slots.
                let slot := add(version.slot, shl(1, shr(240, calldataload(input))))
                mstore(ptr, sload(slot))
                mstore(add(ptr, 0x20), sload(add(slot, 1)))
                ptr := add(ptr, 0x40)
            }
        }
    }

    /// @dev The last version of a period not after `period`; the never written version 0 when there is none.
    function _version(uint256 datasetId, uint32 chunk, uint256 period)
        private
        view
        returns (Point[MAX_COLUMNS] storage)
    {
        Chunk storage head = _chunks[_key(datasetId, chunk)];
        uint256 found = head.latest;
        if (found > period) {
            uint256 low;
            uint256 high = head.periods.length - 1;
            // Versions below `low` are not after `period`, those from `high` on are.
            while (low < high) {
                uint256 middle = (low + high) / 2;
                if (head.periods[middle] > period) high = middle;
                else low = middle + 1;
            }
            found = low == 0 ? 0 : head.periods[low - 1];
        }
        return _versions[_key(datasetId, chunk, found)];
    }

    function _key(uint256 datasetId, uint256 second) private pure returns (uint256) {
        return datasetId << 32 | second;
    }

    function _key(uint256 datasetId, uint256 chunk, uint256 third) private pure returns (uint256) {
        return datasetId << 64 | chunk << 32 | third;
    }
}
