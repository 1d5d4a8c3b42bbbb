//! What offer operations do to resources: reserve, unreserve, create, resize and destroy volumes.
use super::{ResourceError, Resources, Scalar, Value};
use crate::v1;
use crate::v1::offer::Operation;
use crate::v1::offer::operation::Type;

/// A part that is replaced by another.
#[derive(Clone, Debug)]
pub struct Conversion {
    pub consumed: Resources,
    pub converted: Resources,
    /// Nothing of this may be left: the copies of a shared volume that is destroyed.
    pub vanishing: Resources,
}

impl Conversion {
    pub fn new(consumed: Resources, converted: Resources) -> Conversion {
        Conversion { consumed, converted, vanishing: Resources::new() }
    }

    /// The same with resources that are allocated to no role.
    pub fn unallocated(&self) -> Conversion {
        Conversion {
            consumed: self.consumed.unallocated(),
            converted: self.converted.unallocated(),
            vanishing: self.vanishing.unallocated(),
        }
    }
}

impl Resources {
    /// Replaces what the conversion consumes.
    pub fn convert(&self, conversion: &Conversion) -> Result<Resources, ResourceError> {
        let Conversion { consumed, converted, vanishing } = conversion;
        let Some(left) = self.checked_sub(consumed) else {
            return failed(format!("{self} does not contain {consumed}"));
        };
        let result = &left + converted;
        if !vanishing.is_empty() && result.contains(vanishing) {
            return failed(format!(
                "Persistent volume {vanishing} cannot be removed due to additional shared copies"
            ));
        }
        Ok(result)
    }

    /// Applies an operation; its resources must be allocated as these are.
    pub fn apply(&self, operation: &Operation) -> Result<Resources, ResourceError> {
        let conversions = conversions(operation)?;
        conversions.iter().try_fold(self.clone(), |sum, conversion| sum.convert(conversion))
    }
}

/// What an operation replaces by what; in order, as each may need what the one before made.
pub fn conversions(operation: &Operation) -> Result<Vec<Conversion>, ResourceError> {
    match operation.r#type() {
        Type::Reserve => operation.reserve.iter().map(reserve).collect(),
        Type::Unreserve => {
            let list = operation.unreserve.iter().flat_map(|it| &it.resources);
            list.map(unreserve).collect()
        }
        Type::Create => {
            let list = operation.create.iter().flat_map(|it| &it.volumes);
            list.map(|volume| Ok(Conversion::new(without_volume(volume)?, one(volume)?))).collect()
        }
        Type::Destroy => {
            let list = operation.destroy.iter().flat_map(|it| &it.volumes);
            list.map(destroy).collect()
        }
        Type::GrowVolume => operation.grow_volume.iter().map(grow).collect(),
        Type::ShrinkVolume => operation.shrink_volume.iter().map(shrink).collect(),
        Type::Unknown => failed("Unknown operation".to_owned()),
        Type::Launch | Type::LaunchGroup | Type::CreateDisk | Type::DestroyDisk => {
            failed("Operation not supported".to_owned())
        }
    }
}

fn failed<T>(reason: String) -> Result<T, ResourceError> {
    Err(ResourceError::Operation(reason))
}

fn one(resource: &v1::Resource) -> Result<Resources, ResourceError> {
    Resources::from_proto(std::slice::from_ref(resource))
}

fn reserve(it: &v1::offer::operation::Reserve) -> Result<Conversion, ResourceError> {
    let reserved = Resources::from_proto(&it.resources)?;
    let source = if it.source.is_empty() {
        reserved.pop_reservation()?
    } else {
        Resources::from_proto(&it.source)?
    };
    Ok(Conversion::new(source, reserved))
}

fn unreserve(resource: &v1::Resource) -> Result<Conversion, ResourceError> {
    let reserved = one(resource)?;
    let source = reserved.pop_reservation()?;
    Ok(Conversion::new(reserved, source))
}

fn destroy(volume: &v1::Resource) -> Result<Conversion, ResourceError> {
    let consumed = one(volume)?;
    Ok(Conversion { converted: without_volume(volume)?, vanishing: consumed.clone(), consumed })
}

fn grow(it: &v1::offer::operation::GrowVolume) -> Result<Conversion, ResourceError> {
    let (volume, addition) = (one(&it.volume)?, one(&it.addition)?);
    let grown = resized(&it.volume, &volume, |size| size + scalar(&addition))?;
    Ok(Conversion::new(&volume + &addition, grown))
}

fn shrink(it: &v1::offer::operation::ShrinkVolume) -> Result<Conversion, ResourceError> {
    let volume = one(&it.volume)?;
    let Some(freed) = Scalar::from_f64(it.subtract.value).filter(|freed| freed.is_positive())
    else {
        return failed("Invalid scalar resource: value <= 0".to_owned());
    };
    let shrunk = resized(&it.volume, &volume, |size| size - freed)?;
    let mut rest = it.volume.clone();
    rest.scalar = Some(it.subtract);
    Ok(Conversion::new(volume, &shrunk + &without_volume(&rest)?))
}

/// The volume with another size.
fn resized(
    wire: &v1::Resource,
    volume: &Resources,
    size: impl Fn(Scalar) -> Scalar,
) -> Result<Resources, ResourceError> {
    if wire.provider_id.is_some() {
        return failed("Operation not supported for resource provider".to_owned());
    }
    let mut wire = wire.clone();
    wire.scalar = Some(v1::value::Scalar { value: size(scalar(volume)).to_f64() });
    one(&wire)
}

fn scalar(resources: &Resources) -> Scalar {
    resources.iter().fold(Scalar::ZERO, |sum, entry| match entry.value() {
        Value::Scalar(amount) => sum + *amount,
        _ => sum,
    })
}

/// The disk under a volume: not persistent, not shared.
fn without_volume(volume: &v1::Resource) -> Result<Resources, ResourceError> {
    let mut stripped = volume.clone();
    stripped.shared = None;
    match &mut stripped.disk {
        Some(disk) if disk.source.is_some() => {
            disk.persistence = None;
            disk.volume = None;
        }
        disk => *disk = None,
    }
    one(&stripped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::offer::operation;
    use crate::v1::resource::disk_info::Persistence;
    use crate::v1::resource::reservation_info::Type as ReservationType;
    use crate::v1::resource::{DiskInfo, ReservationInfo, SharedInfo};

    fn parse(text: &str) -> Resources {
        Resources::parse(text, "*").unwrap()
    }

    fn reserved(text: &str) -> Resources {
        let info = ReservationInfo {
            r#type: Some(ReservationType::Dynamic as i32),
            role: Some("eng".to_owned()),
            principal: Some("ops".to_owned()),
            labels: None,
        };
        parse(text).push_reservation(&info).unwrap()
    }

    fn volume(size: &str, shared: bool) -> v1::Resource {
        let mut wire = reserved(&format!("disk:{size}")).to_proto().remove(0);
        let persistence = Some(Persistence { id: "v".to_owned(), principal: None });
        wire.disk = Some(DiskInfo { persistence, ..DiskInfo::default() }.into());
        wire.shared = shared.then_some(SharedInfo {});
        wire
    }

    fn operation(kind: Type) -> Operation {
        Operation { r#type: Some(kind as i32), ..Operation::default() }
    }

    fn create(volume: &v1::Resource) -> Operation {
        let create = operation::Create { volumes: vec![volume.clone()] };
        Operation { create: Some(create), ..operation(Type::Create) }
    }

    fn destroy_of(volume: &v1::Resource) -> Operation {
        let destroy = operation::Destroy { volumes: vec![volume.clone()] };
        Operation { destroy: Some(destroy), ..operation(Type::Destroy) }
    }

    #[test]
    fn reserving_and_unreserving() {
        let reserve = operation::Reserve {
            resources: reserved("cpus:1;mem:256").to_proto(),
            ..operation::Reserve::default()
        };
        let reserve = Operation { reserve: Some(reserve), ..operation(Type::Reserve) };
        let before = parse("cpus:4;mem:1024");
        let after = before.apply(&reserve).unwrap();
        assert_eq!(after, &parse("cpus:3;mem:768") + &reserved("cpus:1;mem:256"));
        let unreserve = operation::Unreserve { resources: reserved("cpus:1;mem:256").to_proto() };
        let unreserve = Operation { unreserve: Some(unreserve), ..operation(Type::Unreserve) };
        assert_eq!(after.apply(&unreserve).unwrap(), before);
        assert_eq!(
            reserved("disk:64").apply(&unreserve).unwrap_err().to_string(),
            "disk(reservations: [(DYNAMIC,eng,ops)]):64 does not contain \
             cpus(reservations: [(DYNAMIC,eng,ops)]):1"
        );
        let nothing = operation::Unreserve { resources: before.to_proto() };
        let nothing = Operation { unreserve: Some(nothing), ..operation(Type::Unreserve) };
        assert!(before.apply(&nothing).is_err());
    }

    #[test]
    fn volumes_come_and_go() {
        let before = reserved("disk:100");
        let after = before.apply(&create(&volume("64", false))).unwrap();
        assert_eq!(after, &reserved("disk:36") + &one(&volume("64", false)).unwrap());
        assert_eq!(after.apply(&destroy_of(&volume("64", false))).unwrap(), before);
        assert!(after.apply(&destroy_of(&volume("63", false))).is_err());

        let shared = volume("64", true);
        let after = before.apply(&create(&shared)).unwrap();
        let twice = &after + &one(&shared).unwrap();
        assert_eq!(after.apply(&destroy_of(&shared)).unwrap(), before);
        let error = twice.apply(&destroy_of(&shared)).unwrap_err().to_string();
        assert!(error.ends_with("cannot be removed due to additional shared copies"), "{error}");
    }

    #[test]
    fn volumes_grow_and_shrink() {
        let grow = operation::GrowVolume {
            volume: volume("64", false),
            addition: reserved("disk:6").to_proto().remove(0),
        };
        let grow = Operation { grow_volume: Some(grow), ..operation(Type::GrowVolume) };
        let before = &reserved("disk:36") + &one(&volume("64", false)).unwrap();
        let after = before.apply(&grow).unwrap();
        assert_eq!(after, &reserved("disk:30") + &one(&volume("70", false)).unwrap());
        let shrink = |value: f64| {
            let shrink = operation::ShrinkVolume {
                volume: volume("70", false),
                subtract: v1::value::Scalar { value },
            };
            Operation { shrink_volume: Some(shrink), ..operation(Type::ShrinkVolume) }
        };
        assert_eq!(after.apply(&shrink(6.0)).unwrap(), before);
        for value in [0.0, -1.0, f64::NAN, 71.0] {
            assert!(after.apply(&shrink(value)).is_err(), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        let error = |kind| parse("cpus:1").apply(&operation(kind)).unwrap_err().to_string();
        assert_eq!(error(Type::Unknown), "Unknown operation");
        assert_eq!(error(Type::Launch), "Operation not supported");
        assert_eq!(error(Type::CreateDisk), "Operation not supported");
    }
}
