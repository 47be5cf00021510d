//! A funded question: what the chain says of it, what is opened for it, and what is released.

use salus_cubes::open::{self, CentredBinomial};
use salus_schema::answer::{Decoder, PassValues};
use salus_schema::cube::Form;
use salus_schema::plan::{Image, MOMENTS, Plan, VALUES};

use super::source::{
    Source, check_facts, cube_source, evaluation_source, outputs, plan, refuse, share_noise,
};
use crate::adhoc::{BLOCK_BITS, LweCiphertext, MAX_BLOCKS};
use crate::answer::{ReleasedPass, SealedAnswer, cube_ciphertext_hash};
use crate::ledger::{Ciphertexts, Ledger, Market, QueryFacts};
use crate::message::{MAX_VALUES, OpenRequest, Opening, Target, Values};
use crate::noise::ShareNoise;
use crate::refusal::{Refusal, RefusalCode};
use crate::shape::CommitteeShape;
use crate::stream::digest;

/// A value among those of a plan: power 0 is a count, 1 a sum, 2 a sum of squares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pass: usize,
    group: usize,
    power: usize,
}

/// The pass of places that are guards of an evaluation.
const GUARDS: usize = usize::MAX;

/// What a place opens.
pub(super) enum Opened<'a> {
    Form(&'a Form),
    /// The blocks of a number and the position of the first among all blocks of its kind.
    Number(&'a [LweCiphertext], u32),
}

impl Opened<'_> {
    const fn len(&self) -> usize {
        match self {
            Self::Form(_) => 1,
            Self::Number(blocks, _) => blocks.len(),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Form(form) => form.is_empty(),
            Self::Number(blocks, _) => blocks.is_empty(),
        }
    }
}

/// A question that the chain, the release rule and the ciphertexts of this holder allow.
pub struct Question {
    request: OpenRequest,
    facts: QueryFacts,
    committee: [u8; 32],
    plan: Plan,
    decoder: Decoder,
    shape: CommitteeShape,
    pub(super) source: Source,
    pub(super) binding: [u8; 32],
    ciphertext_hash: [u8; 32],
    noise: Option<ShareNoise>,
    counts: Vec<Place>,
}

/// What the counts let out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    counts: Vec<Vec<u64>>,
    masks: Vec<u64>,
    sums: Vec<Place>,
}

impl Release {
    /// True when there is nothing but counts to open.
    pub fn is_complete(&self) -> bool {
        self.sums.is_empty()
    }

    pub(super) fn places(&self) -> &[Place] {
        &self.sums
    }
}

/// Where openings belong: bound into every flooding value, so that nothing opened elsewhere can be combined with it.
pub fn binding(market: Market, dataset: u64, snapshot: u64, target: &Target) -> [u8; 32] {
    let (kind, id): (&[u8], _) = match target {
        Target::Cube(id) => (b"cube", id),
        Target::Evaluation(id) => (b"evaluation", id),
    };
    digest(
        "salus/v1/committee/binding",
        &[
            &market.chain.to_le_bytes(),
            &market.contract.0,
            &dataset.to_le_bytes(),
            &snapshot.to_le_bytes(),
            kind,
            id,
        ],
    )
}

impl Question {
    /// The question, after every check that a holder makes by itself.
    ///
    /// # Errors
    /// Why this holder does not open it.
    pub fn new(
        request: &OpenRequest,
        shape: CommitteeShape,
        committee: [u8; 32],
        ledger: &dyn Ledger,
        ciphertexts: &dyn Ciphertexts,
    ) -> Result<Self, Refusal> {
        let facts = ledger
            .query(&request.query)
            .map_err(|error| Refusal::new(RefusalCode::Unavailable, error))?;
        check_facts(&facts, request, committee)?;
        let (plan, decoder) = plan(request, &facts)?;
        if facts.members < facts.min_cohort {
            let (found, least) = (facts.members, facts.min_cohort);
            return refuse(
                RefusalCode::BelowCohort,
                format_args!("the snapshot has {found} members, fewer than {least}"),
            );
        }
        let binding = binding(
            ledger.market(),
            request.dataset,
            request.snapshot,
            &request.target,
        );
        let source = match request.target {
            Target::Cube(id) => cube_source(&id, request, &facts, &plan, shape, ciphertexts)?,
            Target::Evaluation(hash) => {
                evaluation_source(&hash, request, &facts, &plan, shape, ciphertexts)?
            }
        };
        let ciphertext_hash = match &source {
            Source::Cube { cube, sum, .. } => cube_ciphertext_hash(&cube.id(), &sum.hash()),
            Source::Evaluation { evaluation, .. } => evaluation.hash,
        };
        let noise = share_noise(&facts, &plan, &source)?;
        let mut question = Self {
            request: request.clone(),
            facts,
            committee,
            plan,
            decoder,
            shape,
            source,
            binding,
            ciphertext_hash,
            noise,
            counts: Vec::new(),
        };
        question.counts = question.places(|image, mask, group| {
            let value = if image == Image::Cells {
                group
            } else {
                MOMENTS * group
            };
            if mask >> value & 1 == 0 { 0..1 } else { 0..0 }
        });
        if let Source::Evaluation { evaluation, .. } = &question.source {
            let guard = |group| Place {
                pass: GUARDS,
                group,
                power: 0,
            };
            let guards = (0..evaluation.guards.len()).map(guard);
            question.counts.extend(guards);
        }
        let most = question.counts.len() * 3;
        if most > MAX_VALUES {
            return refuse(
                RefusalCode::NotCovered,
                format_args!("the plan may open {most} values, more than {MAX_VALUES}"),
            );
        }
        Ok(question)
    }

    pub(super) fn opening(&self) -> Opening {
        Opening {
            request: self.request.clone(),
            ciphertext_hash: self.ciphertext_hash,
        }
    }

    pub(super) const fn query(&self) -> &[u8; 32] {
        &self.request.query
    }

    /// The hash of the ciphertexts, as it is signed.
    pub const fn ciphertext_hash(&self) -> [u8; 32] {
        self.ciphertext_hash
    }

    /// The hash of everything that decides what is opened; a query is opened for one such hash only.
    pub(super) fn digest(&self) -> [u8; 32] {
        let request = postcard::to_stdvec(&self.request).unwrap_or_default();
        let noise = self.noise.map_or(0, ShareNoise::coins).to_le_bytes();
        digest(
            "salus/v1/committee/opening",
            &[
                &request,
                &self.facts.plan_hash,
                &self.ciphertext_hash(),
                &self.facts.members.to_le_bytes(),
                &self.facts.min_cohort.to_le_bytes(),
                &self.facts.min_cell.to_le_bytes(),
                &noise,
            ],
        )
    }

    /// The noise of each share, when the release rule has any.
    pub(super) fn noise(&self) -> Option<CentredBinomial> {
        self.noise.map(ShareNoise::share)
    }

    /// The standard deviation of the noise in every count, in millionths: of all shares together.
    pub fn noise_micro_sigma(&self) -> u64 {
        let sigma = |noise: ShareNoise| noise.output_sigma(self.shape.subset_count());
        self.noise
            .map_or(0, |noise| (sigma(noise) * 1e6).round() as u64)
    }

    pub(super) fn count_places(&self) -> &[Place] {
        &self.counts
    }

    /// The places whose power is in `powers(image, mask, group)` and that are not zero for every table.
    fn places(&self, powers: impl Fn(Image, u64, usize) -> std::ops::Range<usize>) -> Vec<Place> {
        let mut places = Vec::new();
        for (pass, shape) in self.plan.passes().iter().enumerate() {
            let step = match shape.image() {
                Image::Cells => 1,
                Image::Moments => MOMENTS,
            };
            for group in 0..shape.values() / step {
                for power in powers(shape.image(), shape.base_mask(), group) {
                    let place = Place { pass, group, power };
                    let hidden = shape.base_mask() >> (step * group + power) & 1 == 1;
                    let empty = self.opened(place).is_empty();
                    if !hidden && !empty {
                        places.push(place);
                    }
                }
            }
        }
        places
    }

    pub(super) fn opened(&self, place: Place) -> Opened<'_> {
        let Place { pass, group, power } = place;
        match &self.source {
            Source::Cube { forms, .. } => {
                let forms = &forms.passes[pass];
                Opened::Form(match power {
                    0 => &forms.counts[group],
                    _ => &forms.sums[group][power - 1],
                })
            }
            Source::Evaluation { evaluation, .. } if pass == GUARDS => {
                let number = evaluation.counts.len() + 2 * evaluation.sums.len() + group;
                let first = (number * MAX_BLOCKS) as u32;
                Opened::Number(&evaluation.guards[group].number, first)
            }
            Source::Evaluation { evaluation, .. } => {
                let (mut count, mut sum) = (group, group);
                for earlier in &self.plan.passes()[..pass] {
                    let (counts, sums) = outputs(earlier.image(), earlier.values());
                    count += counts;
                    sum += sums;
                }
                // A position per possible block, so that none is taken twice.
                let first = |number: usize| (number * MAX_BLOCKS) as u32;
                match power {
                    0 => Opened::Number(&evaluation.counts[count], first(count)),
                    _ => {
                        let number = evaluation.counts.len() + 2 * sum + power - 1;
                        Opened::Number(&evaluation.sums[sum][power - 1], first(number))
                    }
                }
            }
        }
    }

    /// What opening the counts costs of the flooding budget, in nats.
    pub fn counts_cost(&self) -> f64 {
        self.cost(&self.counts)
    }

    /// What opening the sums that the counts let out costs of it.
    pub fn sums_cost(&self, release: &Release) -> f64 {
        self.cost(&release.sums)
    }

    /// What opening these places costs of the flooding budget.
    fn cost(&self, places: &[Place]) -> f64 {
        match &self.source {
            Source::Cube { sum, flooding, .. } => {
                let members = u64::from(sum.members());
                let cost = |place: &Place| match self.opened(*place) {
                    // Who asks chooses the form, after the key was made.
                    Opened::Form(form) => flooding.form_cost(form, members),
                    Opened::Number(..) => 0.0,
                };
                places.iter().map(cost).sum()
            }
            Source::Evaluation {
                evaluation,
                flooding,
            } => self.opened_len(places) as f64 * flooding.cost(evaluation.noise_bits),
        }
    }

    /// Partials of these places per subset: one per form or block.
    fn opened_len(&self, places: &[Place]) -> usize {
        places.iter().map(|place| self.opened(*place).len()).sum()
    }

    /// The opened values of these places from one list of partials per subset.
    fn combine(&self, places: &[Place], partials: &[Values]) -> Result<Vec<i64>, Refusal> {
        let expected = self.opened_len(places);
        let fits = partials.len() == self.shape.subset_count()
            && partials.iter().all(|values| values.0.len() == expected);
        if !fits {
            return refuse(
                RefusalCode::BadRequest,
                "the partials do not fit the question",
            );
        }
        let mut next = 0;
        let mut take = || {
            next += 1;
            partials.iter().map(move |values| values.0[next - 1])
        };
        let value = |place: &Place| match (&self.source, self.opened(*place)) {
            (Source::Cube { sum, flooding, .. }, Opened::Form(form)) => {
                let partials: Vec<u128> = take().collect();
                open::combine(sum, form, flooding, &partials)
                    .map(|decoded| decoded.value)
                    .map_err(|error| Refusal::new(RefusalCode::Implausible, error))
            }
            (Source::Evaluation { flooding, .. }, Opened::Number(blocks, _)) => {
                let mut number = 0u64;
                for (at, block) in blocks.iter().enumerate() {
                    let Some(digit) = flooding.combine(block, take()) else {
                        return refuse(RefusalCode::Implausible, "a phase that is no digit");
                    };
                    number |= digit << (BLOCK_BITS as usize * at);
                }
                i64::try_from(number)
                    .map_err(|_| Refusal::new(RefusalCode::Implausible, "a number beyond 63 bits"))
            }
            _ => refuse(RefusalCode::BadRequest, "the target is of another kind"),
        };
        places.iter().map(value).collect()
    }

    /// What the counts let out, from one list of partials per subset.
    ///
    /// # Errors
    /// If the partials do not combine to counts, or fewer people are in the answer than the release rule demands.
    pub fn release(&self, partials: &[Values]) -> Result<Release, Refusal> {
        let values = self.combine(&self.counts, partials)?;
        let mut counts: Vec<Vec<u64>> = self
            .plan
            .passes()
            .iter()
            .map(|pass| vec![0; outputs(pass.image(), pass.values()).0])
            .collect();
        for (place, value) in self.counts.iter().zip(values) {
            if let (GUARDS, Source::Evaluation { evaluation, .. }) = (place.pass, &self.source) {
                if u64::try_from(value) != Ok(evaluation.guards[place.group].value) {
                    return refuse(RefusalCode::Implausible, "a record is malformed");
                }
                continue;
            }
            counts[place.pass][place.group] = match u64::try_from(value) {
                Ok(count) if count <= self.facts.members => count,
                // Noise may have moved a count out of its range; cutting it back tells nothing more.
                _ if self.noise.is_some() => value.clamp(0, self.facts.members as i64) as u64,
                _ => return refuse(RefusalCode::Implausible, "a count that no table has"),
            };
        }
        let exact: Vec<[u64; VALUES]> = self
            .plan
            .passes()
            .iter()
            .zip(&counts)
            .map(|(pass, counts)| {
                let mut values = [0; VALUES];
                let step = if pass.image() == Image::Cells {
                    1
                } else {
                    MOMENTS
                };
                for (group, count) in counts.iter().enumerate() {
                    values[step * group] = *count;
                }
                values
            })
            .collect();
        let suppression = self
            .decoder
            .suppression_masks(&exact, self.facts.min_cell)
            .map_err(|error| Refusal::new(RefusalCode::Implausible, error))?;
        if !suppression.allows(self.facts.min_cohort) {
            // The number itself stays here.
            let least = self.facts.min_cohort;
            return refuse(
                RefusalCode::BelowCohort,
                format_args!("the answer would be about fewer than {least} people"),
            );
        }
        let masks = suppression.masks;
        let mut sums = self.places(|image, _, _| match image {
            Image::Cells => 0..0,
            Image::Moments => 1..3,
        });
        sums.retain(|place| masks[place.pass] >> (MOMENTS * place.group) & 1 == 0);
        Ok(Release {
            counts,
            masks,
            sums,
        })
    }

    /// The answer to sign, from the release and one list of partials of the sums per subset.
    ///
    /// # Errors
    /// If the partials do not combine to sums that a table has.
    pub fn answer(&self, release: &Release, partials: &[Values]) -> Result<SealedAnswer, Refusal> {
        let values = self.combine(&release.sums, partials)?;
        let opened = |pass: usize, group: usize, power: usize| {
            let at = release
                .sums
                .iter()
                .position(|p| *p == Place { pass, group, power });
            at.map_or(0, |at| i128::from(values[at]))
        };
        let results = (0..self.plan.passes().len())
            .map(|pass| {
                let shape = &self.plan.passes()[pass];
                let values = self.pass_values(release, pass, &opened)?;
                Ok(ReleasedPass::new(&values, shape.values()))
            })
            .collect::<Result<_, Refusal>>()?;
        Ok(SealedAnswer {
            query: self.request.query,
            dataset: self.facts.dataset,
            snapshot: self.facts.snapshot,
            committee: self.committee,
            ciphertext_hash: self.ciphertext_hash(),
            plan_hash: self.facts.plan_hash,
            results,
            min_cohort: self.facts.min_cohort,
            min_cell: self.facts.min_cell,
        })
    }

    fn pass_values(
        &self,
        release: &Release,
        pass: usize,
        opened: &impl Fn(usize, usize, usize) -> i128,
    ) -> Result<PassValues, Refusal> {
        let (counts, mask) = (&release.counts[pass], release.masks[pass]);
        let shape = &self.plan.passes()[pass];
        let groups = outputs(shape.image(), shape.values()).1;
        let sums = (0..groups).map(|group| {
            let published = mask >> (MOMENTS * group) & 1 == 0;
            published.then(|| [opened(pass, group, 1), opened(pass, group, 2)])
        });
        if let Source::Cube { forms, .. } = &self.source {
            let sums: Vec<_> = sums.collect();
            return forms.passes[pass]
                .values_from(counts, &sums, mask)
                .map_err(|error| Refusal::new(RefusalCode::Implausible, error));
        }
        let mut values = PassValues {
            values: [0; VALUES],
            mask,
        };
        let step = if groups == 0 { 1 } else { MOMENTS };
        for (group, count) in counts.iter().enumerate() {
            values.values[step * group] = *count;
        }
        let Source::Evaluation { evaluation, .. } = &self.source else {
            return refuse(RefusalCode::BadRequest, "the target is of another kind");
        };
        let centre = i128::from(evaluation.centres[pass]);
        for (group, sums) in sums.enumerate() {
            let Some([sum, squares]) = sums else { continue };
            let count = i128::from(counts[group]);
            // Numbers have at most 63 bits and centres 8.
            let shifted = sum + centre * count;
            let squared = squares + 2 * centre * sum + centre * centre * count;
            for (power, value) in [(1, shifted), (2, squared)] {
                let Ok(value) = u64::try_from(value) else {
                    return refuse(RefusalCode::Implausible, "a sum that no table has");
                };
                values.values[MOMENTS * group + power] = value;
            }
        }
        for (value, slot) in values.values.iter_mut().enumerate() {
            if mask >> value & 1 == 1 {
                *slot = 0;
            }
        }
        Ok(values)
    }
}
