//! Resources as the original prints them in messages, for ours and for unchecked wire ones.
use std::fmt;

use super::Scalar;
use crate::v1;
use crate::v1::resource::disk_info::Source;
use crate::v1::resource::disk_info::source::Type as SourceType;
use crate::v1::resource::{DiskInfo, ReservationInfo};
use crate::v1::value::Type;

/// All that stands before the colon.
pub(super) struct Facts<'a> {
    pub name: &'a str,
    pub allocation: Option<&'a str>,
    pub reservations: &'a [ReservationInfo],
    pub disk: Option<&'a DiskInfo>,
    pub revocable: bool,
    pub shared: bool,
}

impl fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(role) = self.allocation {
            write!(f, "(allocated: {role})")?;
        }
        if !self.reservations.is_empty() {
            f.write_str("(reservations: [")?;
            for (at, reservation) in self.reservations.iter().enumerate() {
                f.write_str(if at > 0 { ",(" } else { "(" })?;
                write_reservation(f, reservation)?;
                f.write_str(")")?;
            }
            f.write_str("])")?;
        }
        if let Some(disk) = self.disk {
            f.write_str("[")?;
            write_disk(f, disk)?;
            f.write_str("]")?;
        }
        f.write_str(if self.revocable { "{REV}" } else { "" })?;
        f.write_str(if self.shared { "<SHARED>" } else { "" })
    }
}

fn write_reservation(f: &mut fmt::Formatter<'_>, info: &ReservationInfo) -> fmt::Result {
    write!(f, "{},{}", info.r#type().as_str_name(), info.role())?;
    if let Some(principal) = &info.principal {
        write!(f, ",{principal}")?;
    }
    if let Some(labels) = &info.labels {
        write!(f, ",{}", LabelsText(labels))?;
    }
    Ok(())
}

/// Labels as the original prints them: `{key: value, lone}`.
pub(super) struct LabelsText<'a>(pub &'a v1::Labels);

impl fmt::Display for LabelsText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, label) in self.0.labels.iter().enumerate() {
            f.write_str(if at > 0 { ", " } else { "" })?;
            f.write_str(&label.key)?;
            if let Some(value) = &label.value {
                write!(f, ": {value}")?;
            }
        }
        f.write_str("}")
    }
}

fn write_disk(f: &mut fmt::Formatter<'_>, disk: &DiskInfo) -> fmt::Result {
    if let Some(source) = &disk.source {
        write!(f, "{}", SourceText(source))?;
    }
    if let Some(persistence) = &disk.persistence {
        let comma = if disk.source.is_some() { "," } else { "" };
        write!(f, "{comma}{}", persistence.id)?;
    }
    if let Some(volume) = &disk.volume {
        f.write_str(":")?;
        match &volume.host_path {
            None => f.write_str(&volume.container_path)?,
            Some(host) => {
                let mode = match volume.mode() {
                    v1::volume::Mode::Rw => "rw",
                    v1::volume::Mode::Ro => "ro",
                };
                write!(f, "{host}:{}:{mode}", volume.container_path)?;
            }
        }
    }
    Ok(())
}

pub(super) struct SourceText<'a>(pub &'a Source);

impl fmt::Display for SourceText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.0;
        f.write_str(source.r#type().as_str_name())?;
        let root = match source.r#type() {
            SourceType::Unknown => return Ok(()),
            SourceType::Path => source.path.as_ref().and_then(|path| path.root.as_deref()),
            SourceType::Mount => source.mount.as_ref().and_then(|mount| mount.root.as_deref()),
            SourceType::Block | SourceType::Raw => None,
        };
        if source.id.is_some() || source.profile.is_some() {
            write!(f, "({},{},{})", source.vendor(), source.id(), source.profile())
        } else if let Some(root) = root {
            write!(f, ":{root}")
        } else {
            Ok(())
        }
    }
}

/// A wire resource that may be invalid, for messages about it.
pub struct ProtoText<'a>(pub &'a v1::Resource);

impl fmt::Display for ProtoText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = self.0;
        let facts = Facts {
            name: &resource.name,
            allocation: resource.allocation_info.as_ref().map(|info| info.role()),
            reservations: &resource.reservations,
            disk: resource.disk.as_deref(),
            revocable: resource.revocable.is_some(),
            shared: resource.shared.is_some(),
        };
        write!(f, "{facts}:")?;
        match resource.r#type() {
            Type::Scalar => {
                let value = resource.scalar.map_or(0.0, |scalar| scalar.value);
                match Scalar::from_f64(value) {
                    Some(scalar) => scalar.fmt(f),
                    None => write!(f, "{value:e}"),
                }
            }
            Type::Ranges => {
                f.write_str("[")?;
                let ranges = resource.ranges.iter().flat_map(|ranges| &ranges.range);
                for (at, range) in ranges.enumerate() {
                    let comma = if at > 0 { ", " } else { "" };
                    write!(f, "{comma}{}-{}", range.begin, range.end)?;
                }
                f.write_str("]")
            }
            Type::Set => {
                let items = resource.set.as_ref().map(|set| set.item.join(", "));
                write!(f, "{{{}}}", items.unwrap_or_default())
            }
            Type::Text => Ok(()),
        }
    }
}
