//! Holders that misbehave, around honest ones; and key generation without commitments, with those who exploit that.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use salus_committee::answer::Signature;
use salus_committee::message::{Opening, Phase, Status, Values};
use salus_committee::opening::{CheckRequest, Holder};
use salus_committee::refusal::{Refusal, RefusalCode};
use salus_committee::shape::SubsetIndex;

/// The encoding's step for the modulus of counts: adds one to a count, and is not seen in the residual.
pub const ONE: u128 = u128::MAX / 4_194_301 + 1;

type Partials = Result<Vec<Values>, Refusal>;

fn shift(mut lists: Vec<Values>, by: u128) -> Vec<Values> {
    for list in &mut lists {
        for value in &mut list.0 {
            *value = value.wrapping_add(by);
        }
    }
    lists
}

macro_rules! honest_otherwise {
    ($($method:ident),*) => { $(honest_otherwise!(@ $method);)* };
    (@ status) => { fn status(&self) -> Status { self.honest.status() } };
    (@ counts) => {
        fn counts(&self, opening: &Opening) -> Partials { self.honest.counts(opening) }
    };
    (@ sums) => {
        fn sums(&self, opening: &Opening, counts: &[Values]) -> Partials {
            self.honest.sums(opening, counts)
        }
    };
    (@ sign) => {
        fn sign(&self, opening: &Opening, counts: &[Values], sums: &[Values]) -> Result<Signature, Refusal> {
            self.honest.sign(opening, counts, sums)
        }
    };
    (@ vouch) => {
        fn vouch(
            &self, opening: &Opening, phase: Phase, counts: &[Values], hashes: &[(SubsetIndex, [u8; 32])],
        ) -> Result<Option<Vec<SubsetIndex>>, Refusal> {
            self.honest.vouch(opening, phase, counts, hashes)
        }
    };
    (@ zero_partial) => {
        fn zero_partial(&self, request: &CheckRequest) -> Partials { self.honest.zero_partial(request) }

        fn coin_seeds(&self, subject: &[u8; 32]) -> Partials { self.honest.coin_seeds(subject) }
    };
}

/// Adds one to every count and sum it has a part in.
pub struct Liar {
    pub honest: Arc<dyn Holder>,
}

impl Holder for Liar {
    honest_otherwise!(status, sign, vouch);

    fn counts(&self, opening: &Opening) -> Partials {
        self.honest.counts(opening).map(|lists| shift(lists, ONE))
    }

    fn sums(&self, opening: &Opening, counts: &[Values]) -> Partials {
        self.honest
            .sums(opening, counts)
            .map(|lists| shift(lists, ONE))
    }

    fn zero_partial(&self, request: &CheckRequest) -> Partials {
        self.honest
            .zero_partial(request)
            .map(|lists| shift(lists, 1 << 120))
    }

    fn coin_seeds(&self, subject: &[u8; 32]) -> Partials {
        self.honest.coin_seeds(subject).map(|lists| shift(lists, 1))
    }
}

/// Adds a little to the flooding: too little to change a value, enough to learn something if nobody compares.
pub struct BiasedFlooder {
    pub honest: Arc<dyn Holder>,
}

impl Holder for BiasedFlooder {
    honest_otherwise!(status, sums, sign, vouch, zero_partial);

    fn counts(&self, opening: &Opening) -> Partials {
        self.honest.counts(opening).map(|lists| shift(lists, 1))
    }
}

/// Answers everything with the first thing it ever answered.
pub struct Replayer {
    pub honest: Arc<dyn Holder>,
    first: Mutex<Option<Vec<Values>>>,
}

impl Replayer {
    pub fn new(honest: Arc<dyn Holder>) -> Self {
        Self {
            honest,
            first: Mutex::default(),
        }
    }
}

impl Holder for Replayer {
    honest_otherwise!(status, sums, sign, vouch, zero_partial);

    fn counts(&self, opening: &Opening) -> Partials {
        let honest = self.honest.counts(opening)?;
        Ok(self.first.lock().unwrap().get_or_insert(honest).clone())
    }
}

/// Says one thing to the leader and denies it to the others.
pub struct Equivocator {
    pub honest: Arc<dyn Holder>,
}

impl Holder for Equivocator {
    honest_otherwise!(status, counts, sums, sign, zero_partial);

    fn vouch(
        &self,
        _opening: &Opening,
        _phase: Phase,
        _counts: &[Values],
        hashes: &[(SubsetIndex, [u8; 32])],
    ) -> Result<Option<Vec<SubsetIndex>>, Refusal> {
        Ok(Some(hashes.iter().map(|(subset, _)| *subset).collect()))
    }
}

/// Does not answer until its [`Patience`] ends.
pub struct Slow {
    pub honest: Arc<dyn Holder>,
    wait: Mutex<Receiver<()>>,
}

/// Keeps slow holders waiting; dropping it lets them go.
pub struct Patience(#[allow(dead_code)] Sender<()>);

impl Slow {
    pub fn new(honest: Arc<dyn Holder>) -> (Self, Patience) {
        let (sender, receiver) = channel();
        let wait = Mutex::new(receiver);
        (Self { honest, wait }, Patience(sender))
    }
}

impl Holder for Slow {
    honest_otherwise!(status, sums, sign, vouch, zero_partial);

    fn counts(&self, opening: &Opening) -> Partials {
        // Ends with an error when the other end is dropped.
        let _ = self.wait.lock().unwrap().recv();
        self.honest.counts(opening)
    }
}

/// Answers the leader, and does not vouch until its [`Patience`] ends.
pub struct Mute {
    pub honest: Arc<dyn Holder>,
    wait: Mutex<Receiver<()>>,
}

impl Mute {
    pub fn new(honest: Arc<dyn Holder>) -> (Self, Patience) {
        let (sender, receiver) = channel();
        let wait = Mutex::new(receiver);
        (Self { honest, wait }, Patience(sender))
    }
}

impl Holder for Mute {
    honest_otherwise!(status, counts, sums, sign, zero_partial);

    fn vouch(
        &self,
        opening: &Opening,
        phase: Phase,
        counts: &[Values],
        hashes: &[(SubsetIndex, [u8; 32])],
    ) -> Result<Option<Vec<SubsetIndex>>, Refusal> {
        let _ = self.wait.lock().unwrap().recv();
        self.honest.vouch(opening, phase, counts, hashes)
    }
}

/// Refuses everything.
pub struct Dead {
    pub honest: Arc<dyn Holder>,
}

fn gone<T>() -> Result<T, Refusal> {
    Err(Refusal::new(RefusalCode::Unavailable, "gone"))
}

impl Holder for Dead {
    honest_otherwise!(status);

    fn counts(&self, _: &Opening) -> Partials {
        gone()
    }

    fn sums(&self, _: &Opening, _: &[Values]) -> Partials {
        gone()
    }

    fn sign(&self, _: &Opening, _: &[Values], _: &[Values]) -> Result<Signature, Refusal> {
        gone()
    }

    fn vouch(
        &self,
        _: &Opening,
        _: Phase,
        _: &[Values],
        _: &[(SubsetIndex, [u8; 32])],
    ) -> Result<Option<Vec<SubsetIndex>>, Refusal> {
        gone()
    }

    fn zero_partial(&self, _: &CheckRequest) -> Partials {
        gone()
    }

    fn coin_seeds(&self, _: &[u8; 32]) -> Partials {
        gone()
    }
}
