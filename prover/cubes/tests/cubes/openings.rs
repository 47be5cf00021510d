use rand_core::RngCore;
use salus_cubes::open::{self, CentredBinomial, OpenError, Product};
use salus_cubes::parameters::{Flooding, Modulus, Room};
use salus_cubes::stream::Stream;
use salus_cubes::sum::{CubeSum, RunningSum};
use salus_schema::cube::{Form, ModulusClass, forms};
use salus_schema::plan::Image;
use salus_schema::planner;
use salus_schema::query::Query;

use crate::holders::{Holders, codebook, cube, rng};

struct Opened<'a> {
    holders: &'a Holders,
    sum: &'a CubeSum,
    products: Vec<Product>,
    flooding: Flooding,
}

impl<'a> Opened<'a> {
    fn new(holders: &'a Holders, sum: &'a CubeSum) -> Self {
        let shares = holders.shares.iter();
        Self {
            holders,
            sum,
            products: shares.map(|share| Product::new(sum, share)).collect(),
            flooding: Flooding::new(holders.subsets(), Room::Value(sum.class())),
        }
    }

    fn partials(&self, form: &Form, noise: Option<CentredBinomial>) -> Vec<u128> {
        let (keys, binding) = (&self.holders.keys, &self.holders.binding);
        let products = self.products.iter().zip(keys);
        products
            .map(|(product, key)| {
                open::partial(product, form, key, &self.flooding, binding, noise).unwrap()
            })
            .collect()
    }

    fn open(&self, form: &Form) -> i64 {
        let partials = self.partials(form, None);
        open::combine(self.sum, form, &self.flooding, &partials)
            .unwrap()
            .value
    }
}

fn table(holders: &Holders, class: ModulusClass, count: u64) -> (CubeSum, Vec<u64>) {
    let cube = cube(class);
    let mut sum = RunningSum::new(&cube);
    let mut histogram = vec![0; cube.cells()];
    for member in holders.members(&cube, count, 31) {
        sum.add(&member.upload).unwrap();
        histogram[member.cell] += 1;
    }
    (sum.finish().unwrap(), histogram)
}

/// The way of a question through an encrypted cube: plan, forms, partial openings, published values.
#[test]
fn sealed_values_are_those_of_the_clear_histogram() {
    let (holders, codebook) = (Holders::new(6), codebook());
    let (sum, histogram) = table(&holders, ModulusClass::Sums, 150);
    let cube = cube(ModulusClass::Sums);
    let opened = Opened::new(&holders, &sum);
    for sql in [
        "SELECT COUNT(*) FROM t",
        "SELECT COUNT(*) FROM t WHERE sex = 'male' AND age > 55",
        "SELECT stage, sex, COUNT(*) FROM t GROUP BY stage, sex",
        "SELECT sex, AVG(age), STDDEV_SAMP(age), COUNT(*) FROM t WHERE stage IS NOT NULL GROUP BY sex",
        "SELECT SUM(age) FROM t WHERE stage > 'I'",
    ] {
        let query = Query::from_sql(sql, &codebook).unwrap();
        let (plan, decoder) = planner::plan(&query, &codebook).unwrap();
        let forms = forms(&cube, &plan, 150).unwrap();
        let mut exact = Vec::new();
        let mut sealed = Vec::new();
        for (pass, forms) in plan.passes().iter().zip(&forms.passes) {
            let counts: Vec<u64> = forms.counts.iter().map(|f| opened.open(f) as u64).collect();
            let sums: Vec<_> = forms
                .sums
                .iter()
                .map(|pair| Some(pair.each_ref().map(|f| i128::from(opened.open(f)))))
                .collect();
            let mut cells = vec![0; usize::from(pass.class().cells())];
            for (cell, &people) in histogram.iter().enumerate() {
                let codes = cube.codes_of(cell);
                let codes: Vec<u8> = pass
                    .columns()
                    .iter()
                    .map(|c| {
                        cube.columns()
                            .iter()
                            .position(|x| x == c)
                            .map_or(1, |at| codes[at])
                    })
                    .collect();
                if let Some(cell) = pass.evaluate(&codes) {
                    cells[cell] += people;
                }
            }
            exact.push(pass.publish(&cells, 0).unwrap());
            sealed.push(forms.values_from(&counts, &sums, 0).unwrap());
            assert_eq!(
                sealed.last().unwrap().values,
                *exact.last().unwrap(),
                "{sql}"
            );
            assert!(forms.image == Image::Moments || forms.sums.is_empty());
        }
        if decoder.suppression_masks(&exact, 1).unwrap().masks
            == exact
                .iter()
                .zip(&sealed)
                .map(|(_, s)| s.mask)
                .collect::<Vec<_>>()
        {
            assert_eq!(
                decoder.decode(&sealed).unwrap().rows.len(),
                decoder.groups()
            );
        }
    }
}

#[test]
fn asking_again_gives_the_same_bytes_and_another_place_does_not() {
    let holders = Holders::new(3);
    let (sum, _) = table(&holders, ModulusClass::Counts, 3);
    let opened = Opened::new(&holders, &sum);
    let form = Form::new(vec![(0, 1), (7, 1)]).unwrap();
    let partials = opened.partials(&form, None);
    assert_eq!(partials, opened.partials(&form, None));
    let (product, key) = (&opened.products[0], &holders.keys[0]);
    let elsewhere = open::partial(product, &form, key, &opened.flooding, &[1; 32], None).unwrap();
    assert_ne!(elsewhere, partials[0]);
    // Without flooding the two partial openings would be equal; now they differ by two fresh values.
    let difference = (elsewhere.wrapping_sub(partials[0]) as i128).unsigned_abs();
    assert!(difference > 1 << 80 && difference < 1 << (opened.flooding.bits() + 1));
}

#[test]
fn wrong_missing_and_misplaced_partial_openings_are_refused() {
    let holders = Holders::new(3);
    let (sum, _) = table(&holders, ModulusClass::Counts, 3);
    let opened = Opened::new(&holders, &sum);
    let form = Form::new(vec![(0, 1)]).unwrap();
    let partials = opened.partials(&form, None);
    let combine = |partials: &[u128]| open::combine(&sum, &form, &opened.flooding, partials);
    assert_eq!(
        combine(&partials[1..]).unwrap_err(),
        OpenError::Partials {
            expected: 3,
            found: 2
        }
    );
    let step = u128::MAX / u128::from(sum.class().modulus());
    let mut wrong = partials.clone();
    wrong[1] = wrong[1].wrapping_add(step / 2);
    assert!(matches!(
        combine(&wrong),
        Err(OpenError::Implausible { .. })
    ));
    // A lie by a whole step is a lie about the value: only comparing the holders of a subset shows it.
    wrong[1] = partials[1].wrapping_sub(Modulus::of(sum.class()).encode(5));
    let (honest, lie) = (combine(&partials).unwrap(), combine(&wrong).unwrap());
    assert_eq!(lie.value, honest.value + 5);
    let (product, key) = (&opened.products[0], &holders.keys[0]);
    let other = Flooding::new(3, Room::Value(ModulusClass::Sums));
    let misplaced = open::partial(product, &form, key, &other, &[0; 32], None);
    assert_eq!(misplaced.unwrap_err(), OpenError::Room);
    let misplaced = open::combine(&sum, &form, &other, &partials);
    assert_eq!(misplaced.unwrap_err(), OpenError::Room);
}

#[test]
fn noise_shares_have_mean_zero_and_half_the_flips_as_variance() {
    let noise = CentredBinomial { flips: 100 };
    let mut stream = Stream::new("salus/v1/test", &[b"noise"]);
    let values: Vec<f64> = (0..8000)
        .map(|_| noise.sample(&mut stream) as f64)
        .collect();
    let mean = values.iter().sum::<f64>() / 8000.0;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 8000.0;
    assert!(mean.abs() < 0.5, "{mean}");
    assert!((variance / 50.0 - 1.0).abs() < 0.08, "{variance}");
    assert_eq!(CentredBinomial { flips: 0 }.sample(&mut stream), 0);
}

#[test]
fn noise_moves_the_opened_value_the_same_way_every_time() {
    let holders = Holders::new(3);
    let (sum, histogram) = table(&holders, ModulusClass::Counts, 40);
    let opened = Opened::new(&holders, &sum);
    let noise = Some(CentredBinomial { flips: 200 });
    let mut rng = rng(41);
    let mut moved = 0;
    for _ in 0..20 {
        let terms = (0..300u16).filter(|_| rng.next_u32() & 1 == 1);
        let form = Form::new(terms.map(|cell| (cell, 1)).collect()).unwrap();
        let partials = opened.partials(&form, noise);
        assert_eq!(partials, opened.partials(&form, noise));
        let value = open::combine(&sum, &form, &opened.flooding, &partials)
            .unwrap()
            .value;
        let away = i128::from(value) - form.evaluate(&histogram);
        assert!(away.abs() < 150, "{away}");
        moved += u32::from(away != 0);
    }
    assert!(moved > 10);
}
