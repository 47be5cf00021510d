use proptest::prelude::*;

use crate::answer::{AnswerError, Evaluated, SealedPass, SealedValue, digit};
use crate::keys::{ClientMaterial, DealerSecret, ServerKeys};
use crate::layout::{Layout, LayoutError};
use crate::upload::Upload;

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0..6usize) {
        let magic: [&[u8]; 6] = [b"SLUA\x01\0\0\0", b"SLACM\0\0\x01", b"SLASK\0\0\x01", b"SLADS\0\0\x01", b"SLAR\x01\0\0\0", b""];
        bytes.splice(0..0, magic[kind].iter().copied());
        prop_assert!(Upload::from_bytes(&bytes).is_err());
        prop_assert!(ClientMaterial::from_bytes(&bytes).is_err());
        prop_assert!(ServerKeys::read_from(&bytes[..], [0; 32]).is_err());
        prop_assert!(DealerSecret::from_bytes(&bytes).is_err());
        if let Ok(result) = Evaluated::from_bytes(&bytes) {
            prop_assert_eq!(result.to_bytes(), bytes);
        }
    }

    #[test]
    fn a_dealer_secret_survives_its_bytes(packed in prop::collection::vec(any::<u8>(), 512)) {
        let mut bytes = b"SLADS\0\0\x01".to_vec();
        bytes.extend(packed);
        let secret = DealerSecret::from_bytes(&bytes).unwrap();
        prop_assert_eq!(secret.bits().len(), 4096);
        prop_assert_eq!(secret.to_bytes(), bytes);
        prop_assert_eq!(format!("{secret:?}"), "DealerSecret([redacted])");
    }

    #[test]
    fn phases_near_a_digit_are_that_digit(value in 0u8..16, off in -(1i128 << 120)..(1i128 << 120)) {
        let phase = (u128::from(value) << 123).wrapping_add(off as u128);
        prop_assert_eq!(digit(0, phase), Ok(value));
        let between = phase.wrapping_add(1 << 122);
        prop_assert_eq!(digit(3, between), Err(AnswerError::NoDigit { block: 3 }));
    }

    #[test]
    fn layouts_place_every_code_once(last in prop::collection::vec(0u8..40, 1..20)) {
        match Layout::new(last.clone()) {
            Err(error) => prop_assert_eq!(error, LayoutError::Empty),
            Ok(layout) => {
                let codes: Vec<u8> = last.iter().map(|&l| l.max(1)).collect();
                let bits = layout.one_hot(&codes).unwrap();
                prop_assert_eq!(bits.iter().sum::<u64>(), last.iter().filter(|&&l| l > 0).count() as u64);
                for (first, slots) in layout.blocks() {
                    prop_assert_eq!(bits[first..first + slots].iter().sum::<u64>(), 1);
                }
            }
        }
    }
}

#[test]
fn a_value_needs_a_phase_per_block_and_negative_digits_are_refused() {
    let empty = SealedValue::default();
    assert_eq!(empty.decode(&[]), Ok(0));
    assert_eq!(
        empty.decode(&[0]),
        Err(AnswerError::Phases {
            expected: 0,
            found: 1
        })
    );
    assert_eq!(digit(0, 17 << 123), Err(AnswerError::NoDigit { block: 0 }));
    let result = Evaluated {
        query: [1; 32],
        records: [2; 32],
        keys: [3; 32],
        people: 5,
        passes: vec![SealedPass {
            values: vec![empty; 3],
        }],
    };
    assert_eq!(Evaluated::from_bytes(&result.to_bytes()), Ok(result));
}
