//! The people of the synthetic cohort: integer arithmetic from one seed, the same on every machine.

/// SplitMix64 (Steele, Lea and Flood 2014). Made-up people need reproducible draws, not secret ones.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..1000`.
    fn per_mille(&mut self) -> i64 {
        // The high half times the bound, shifted: no division, and no bias that matters here.
        (((self.next() >> 32) * 1000) >> 32) as i64
    }

    fn chance(&mut self, per_mille: i64) -> bool {
        self.per_mille() < per_mille
    }

    /// Near normal with mean 0 and this standard deviation: the sum of twelve uniform 16-bit draws.
    fn normal(&mut self, deviation: i64) -> i64 {
        let mut sum = 0i64;
        for _ in 0..3 {
            let word = self.next();
            for part in 0..4 {
                sum += ((word >> (16 * part)) & 0xffff) as i64;
            }
        }
        // Twelve uniform draws on 0..=65535 have mean 6 * 65535 and variance 65536^2 (less one part in 2^32).
        let centred = sum - 6 * 65_535;
        (centred * deviation + (32_768 * centred.signum())) / 65_536
    }

    fn pick<T: Copy>(&mut self, weighted: &[(i64, T)], otherwise: T) -> T {
        let mut left = self.per_mille();
        for &(weight, item) in weighted {
            if left < weight {
                return item;
            }
            left -= weight;
        }
        otherwise
    }
}

/// Regions of the synthetic cohort.
pub const REGIONS: [&str; 5] = ["Central", "East", "North", "South", "West"];
/// Smoking habits of the synthetic cohort, in rising exposure.
pub const SMOKING: [&str; 3] = ["never", "former", "current"];
/// Sexes of the synthetic cohort.
pub const SEXES: [&str; 2] = ["female", "male"];

/// One made-up person. Ranges are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// From 1; the person key is written from it.
    pub number: u64,
    /// Years, 18 to 90.
    pub age: i64,
    /// Index into [`SEXES`].
    pub sex: usize,
    /// Index into [`REGIONS`].
    pub region: usize,
    /// Index into [`SMOKING`]; missing in 3 of 100.
    pub smoking: Option<usize>,
    /// Tenths of kg/m2, 160 to 410; missing in 2 of 100.
    pub bmi: Option<i64>,
    /// mmHg, 85 to 220; missing in 4 of 100.
    pub systolic_bp: Option<i64>,
    /// mg/dl, 100 to 400; missing in 6 of 100.
    pub cholesterol: Option<i64>,
    /// Tenths of a per cent, 40 to 140; missing in 10 of 100.
    pub hba1c: Option<i64>,
    /// Whether diabetes was diagnosed.
    pub diabetes: bool,
    /// Visits in the last year, 0 to 20.
    pub visits: i64,
}

/// An endless line of people; the first `n` are the same whatever comes after.
pub struct People {
    draws: Draws,
    number: u64,
}

impl People {
    /// The people of a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            draws: Draws(seed),
            number: 0,
        }
    }
}

impl Iterator for People {
    type Item = Person;

    fn next(&mut self) -> Option<Person> {
        let d = &mut self.draws;
        self.number += 1;
        let age = (50 + d.normal(17)).clamp(18, 90);
        let sex = usize::from(d.chance(490));
        let region = d.pick(&[(240, 0), (180, 1), (150, 2), (260, 3)], 4);
        let current = 240 - 2 * (age - 40).max(0) + 40 * sex as i64;
        let former = (120 + 5 * (age - 30).max(0)).min(420);
        let smoking = d.pick(&[(current, 2), (former, 1)], 0);
        let bmi = 264 + (age - 50) / 2 + d.normal(44) - if smoking == 2 { 12 } else { 0 };
        let bmi = bmi.clamp(160, 410);
        let risk = 15 + 3 * (age - 35).max(0) + (bmi - 250).max(0) * 6 / 5;
        let diabetes = d.chance(risk.clamp(5, 600));
        let hba1c = if diabetes {
            72 + d.normal(12)
        } else {
            53 + (age - 50) / 12 + d.normal(3)
        };
        let hba1c = hba1c.clamp(40, 140);
        let systolic_bp = 103 + age * 2 / 5 + (bmi - 250) / 12 + 5 * sex as i64 + d.normal(13);
        let cholesterol =
            178 + (age - 40) / 2 + (bmi - 250) / 10 - if diabetes { 10 } else { 0 } + d.normal(36);
        let visits = 1 + age / 30 + if diabetes { 3 } else { 0 } + d.normal(2);
        let mut known = |value: i64, missing: i64| (!d.chance(missing)).then_some(value);
        let person = Person {
            number: self.number,
            age,
            sex,
            region,
            smoking: known(smoking as i64, 30).map(|s| s as usize),
            bmi: known(bmi, 20),
            systolic_bp: known(systolic_bp.clamp(85, 220), 40),
            cholesterol: known(cholesterol.clamp(100, 400), 60),
            hba1c: known(hba1c, 100),
            diabetes,
            visits: visits.clamp(0, 20),
        };
        Some(person)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: impl Iterator<Item = i64>) -> i64 {
        let values: Vec<i64> = values.collect();
        values.iter().sum::<i64>() / values.len() as i64
    }

    #[test]
    fn the_first_people_of_a_seed_never_change() {
        let first: Vec<Person> = People::new(2026).take(3).collect();
        let again: Vec<Person> = People::new(2026).take(100).take(3).collect();
        assert_eq!(first, again);
        assert_ne!(first, People::new(2027).take(3).collect::<Vec<_>>());
    }

    #[test]
    fn the_correlations_are_the_expected_way_round() {
        let people: Vec<Person> = People::new(7).take(20_000).collect();
        let (old, young) = (|p: &&Person| p.age >= 65, |p: &&Person| p.age < 40);
        let sbp = |p: &Person| p.systolic_bp;
        assert!(
            mean(people.iter().filter(old).filter_map(sbp))
                > mean(people.iter().filter(young).filter_map(sbp)) + 8
        );
        let sick = |yes: bool| move |p: &&Person| p.diabetes == yes;
        let hba1c = |p: &Person| p.hba1c;
        assert!(
            mean(people.iter().filter(sick(true)).filter_map(hba1c))
                > mean(people.iter().filter(sick(false)).filter_map(hba1c)) + 10
        );
        let share = people.iter().filter(|p| p.diabetes).count();
        assert!((1_000..4_000).contains(&share), "{share}");
        let missing = people.iter().filter(|p| p.hba1c.is_none()).count();
        assert!((1_700..2_300).contains(&missing), "{missing}");
        for region in 0..REGIONS.len() {
            assert!(people.iter().filter(|p| p.region == region).count() > 1_000);
        }
    }
}
