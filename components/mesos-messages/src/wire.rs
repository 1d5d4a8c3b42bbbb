//! Where the generated types need a hand to have the wire form of the original.
use crate::v1::value::Scalar;

/// By bits, with `-0.0` as the default (see the build script): prost leaves values out of maps that equal their
/// default, and the original refuses a body with a map whose scalar lacks its required number. This way a zero is
/// written.
impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.value.to_bits() == other.value.to_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{required::missing_required, v1};
    use prost::Message;

    #[test]
    fn a_zero_in_a_map_is_written() {
        let mut info = v1::TaskInfo::default();
        info.limits.insert("cpus".to_owned(), Scalar { value: 0.0 });
        let bytes = info.encode_to_vec();
        assert!(bytes.ends_with(b"\x09\0\0\0\0\0\0\0\0"), "{bytes:?}");
        assert_eq!(missing_required::<v1::TaskInfo>(&bytes), [""; 0]);
        assert_eq!(v1::TaskInfo::decode(bytes.as_slice()), Ok(info));
    }

    #[test]
    fn an_absent_scalar_counts_as_zero() {
        assert_eq!(Scalar::default().value, 0.0);
        assert_eq!(Scalar::decode(&b""[..]).map(|scalar| scalar.value), Ok(-0.0));
    }
}
