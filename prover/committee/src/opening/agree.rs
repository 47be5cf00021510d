//! Comparing what the members of each subset say.
//!
//! Honest members of a subset compute the identical values, so that a wrong one shows. A value that `t` members give has an
//! honest one among them; whoever gives another lies. Where no value has `t` voices, nobody can tell who lies.

use std::collections::{BTreeMap, BTreeSet};

use crate::message::Values;
use crate::opening::Failure;
use crate::shape::{CommitteeShape, HolderIndex, Subset, SubsetIndex};

/// One list of values per subset, and what the comparison showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The values of every subset, in the order of subsets.
    pub values: Vec<Values>,
    /// Holders that `t` others contradict.
    pub liars: Vec<HolderIndex>,
    /// Subsets whose values fewer than `t` holders gave.
    pub unchecked: Vec<SubsetIndex>,
}

/// The values that the holders' answers agree on; an answer has one list per subset of its holder, ascending.
///
/// An answer with a wrong number of lists is not an answer: callers drop it before.
///
/// # Errors
/// If the holders that answered do not meet every subset, or a contradiction has no majority of `t`.
pub fn agree(
    shape: CommitteeShape,
    answers: &BTreeMap<HolderIndex, Vec<Values>>,
) -> Result<Agreed, Failure> {
    let subsets = shape.subsets();
    let mut said: Vec<Vec<(HolderIndex, &Values)>> = vec![Vec::new(); subsets.len()];
    for (holder, lists) in answers {
        for (subset, list) in shape.subsets_of(*holder).iter().zip(lists) {
            said[usize::from(subset.index().0)].push((*holder, list));
        }
    }
    let mut liars = BTreeSet::new();
    for voices in &said {
        if let Some(right) = vouched(voices, shape.threshold()) {
            let wrong = voices.iter().filter(|(_, values)| *values != right);
            liars.extend(wrong.map(|(holder, _)| *holder));
        }
    }
    let mut agreed = Agreed {
        values: Vec::with_capacity(subsets.len()),
        liars: liars.iter().copied().collect(),
        unchecked: Vec::new(),
    };
    for (subset, voices) in subsets.iter().zip(said) {
        let honest: Vec<_> = voices
            .into_iter()
            .filter(|(holder, _)| !liars.contains(holder))
            .collect();
        let Some((_, first)) = honest.first() else {
            return Err(uncovered(shape, answers.len() - liars.len(), *subset));
        };
        if honest.iter().any(|(_, values)| values != first) {
            return Err(Failure::Disagreement {
                subset: subset.index(),
                holders: honest.iter().map(|(holder, _)| *holder).collect(),
                report: Default::default(),
            });
        }
        if honest.len() < shape.threshold() {
            agreed.unchecked.push(subset.index());
        }
        agreed.values.push((*first).clone());
    }
    Ok(agreed)
}

/// The one value that at least `threshold` voices give, if there is exactly one.
fn vouched<'a>(voices: &[(HolderIndex, &'a Values)], threshold: usize) -> Option<&'a Values> {
    let mut found = None;
    for (_, values) in voices {
        let voices = voices.iter().filter(|(_, other)| other == values).count();
        if voices >= threshold && found != Some(*values) {
            if found.is_some() {
                return None;
            }
            found = Some(*values);
        }
    }
    found
}

fn uncovered(shape: CommitteeShape, answered: usize, subset: Subset) -> Failure {
    Failure::Uncovered {
        subset: subset.index(),
        answered: answered as u8,
        needed: shape.threshold() as u8,
        report: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn answers(shape: CommitteeShape, alive: &[u8]) -> BTreeMap<HolderIndex, Vec<Values>> {
        let answer = |holder: HolderIndex| {
            let subsets = shape.subsets_of(holder).into_iter();
            subsets
                .map(|s| Values(vec![u128::from(s.mask()), 7]))
                .collect()
        };
        alive
            .iter()
            .map(|&i| (HolderIndex(i), answer(HolderIndex(i))))
            .collect()
    }

    fn lie(answers: &mut BTreeMap<HolderIndex, Vec<Values>>, holder: u8, subset: usize, by: u128) {
        answers.get_mut(&HolderIndex(holder)).unwrap()[subset].0[0] += by;
    }

    #[test]
    fn honest_holders_agree_and_everything_is_checked() {
        let shape = CommitteeShape::new(7, 3).unwrap();
        let agreed = agree(shape, &answers(shape, &[0, 1, 2, 3, 4, 5, 6])).unwrap();
        assert_eq!(agreed.values.len(), shape.subset_count());
        assert!(agreed.liars.is_empty() && agreed.unchecked.is_empty());
    }

    #[test]
    fn a_liar_is_named_and_its_other_values_do_not_count() {
        let shape = CommitteeShape::new(4, 2).unwrap();
        let mut answers = answers(shape, &[0, 1, 2, 3]);
        lie(&mut answers, 2, 1, 5);
        let agreed = agree(shape, &answers).unwrap();
        assert_eq!(agreed.liars, [HolderIndex(2)]);
        assert_eq!(agreed.values[0].0[0], u128::from(shape.subsets()[0].mask()));
        // Every subset still has two honest members.
        assert!(agreed.unchecked.is_empty());
    }

    #[test]
    fn two_colluding_liars_of_seven_are_both_named() {
        let shape = CommitteeShape::new(7, 3).unwrap();
        let mut answers = answers(shape, &[0, 1, 2, 3, 4, 5, 6]);
        for liar in [1, 4] {
            for at in 0..shape.subsets_of(HolderIndex(liar)).len() {
                lie(&mut answers, liar, at, 1 << 100);
            }
        }
        let agreed = agree(shape, &answers).unwrap();
        assert_eq!(agreed.liars, [HolderIndex(1), HolderIndex(4)]);
    }

    #[test]
    fn a_disagreement_without_majority_names_the_subset_and_its_members() {
        let shape = CommitteeShape::new(5, 3).unwrap();
        let mut answers = answers(shape, &[0, 1, 2, 3, 4]);
        // Holders 0 and 1 outvote holder 2 in the subset {0, 1, 2}: nobody may believe them.
        lie(&mut answers, 0, 0, 9);
        lie(&mut answers, 1, 0, 9);
        let Err(Failure::Disagreement {
            subset, holders, ..
        }) = agree(shape, &answers)
        else {
            panic!("two of three liars went through");
        };
        assert_eq!(subset, SubsetIndex(0));
        assert_eq!(holders, [HolderIndex(0), HolderIndex(1), HolderIndex(2)]);
    }

    #[test]
    fn only_a_threshold_alive_covers_everything_unchecked() {
        let shape = CommitteeShape::new(4, 2).unwrap();
        let agreed = agree(shape, &answers(shape, &[1, 3])).unwrap();
        let alone = |s: &Subset| s.contains(HolderIndex(1)) != s.contains(HolderIndex(3));
        let expected: Vec<_> = shape
            .subsets()
            .iter()
            .filter(|s| alone(s))
            .map(|s| s.index())
            .collect();
        assert_eq!(agreed.unchecked, expected);
        let failure = agree(shape, &answers(shape, &[1])).unwrap_err();
        assert!(matches!(
            failure,
            Failure::Uncovered {
                answered: 1,
                needed: 2,
                ..
            }
        ));
    }

    #[test]
    fn a_liar_beside_a_dead_holder_is_named_where_two_honest_members_meet() {
        let shape = CommitteeShape::new(4, 2).unwrap();
        let mut answers = answers(shape, &[0, 1, 2]);
        for at in 0..3 {
            lie(&mut answers, 2, at, 3);
        }
        let agreed = agree(shape, &answers).unwrap();
        assert_eq!(agreed.liars, [HolderIndex(2)]);
        assert_eq!(agreed.unchecked.len(), 2);
    }
}
