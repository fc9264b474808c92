//! Resource arithmetic: scalars in thousandths, ranges kept merged and sorted, sets.
//!
//! Quantities of one name add up whatever role they carry: bcs neither reserves nor lends resources, so a host's
//! resources are one pool. Scalars are fixed point, because a pool that is split and joined a million times in
//! floating point does not come back to what it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::json::WireName as _;
use crate::types::{AllocationInfo, Range, Ranges, Resource, Scalar, Set, ValueType};

/// Why a list of resources is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// A resource has no name.
    #[error("a resource has no name")]
    Name,
    /// The member that its type needs is missing, or the type is TEXT.
    #[error("resource {name:?} of type {kind} has no usable value")]
    Value {
        /// Which resource.
        name: String,
        /// Its declared type.
        kind: &'static str,
    },
    /// A scalar that is negative, not finite or too large.
    #[error(
        "resource {name:?} has the amount {amount}, which must be finite, not negative and below 9e12"
    )]
    Amount {
        /// Which resource.
        name: String,
        /// What was given.
        amount: String,
    },
    /// A range that ends before it begins.
    #[error("resource {name:?} has the range [{begin}-{end}], which ends before it begins")]
    Range {
        /// Which resource.
        name: String,
        /// First value.
        begin: u64,
        /// Last value.
        end: u64,
    },
    /// One list gives the same range value or set item twice.
    #[error("resource {name:?} names {item} twice")]
    Overlap {
        /// Which resource.
        name: String,
        /// What is there twice.
        item: String,
    },
    /// One name is used with two types.
    #[error("resource {name:?} is used with two types")]
    Type {
        /// Which resource.
        name: String,
    },
}

/// An amount of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quantity {
    /// In thousandths.
    Scalar(i64),
    /// Inclusive ranges, sorted, not touching.
    Ranges(Vec<(u64, u64)>),
    /// Items.
    Set(BTreeSet<String>),
}

/// Amounts by resource name. Empty quantities are not kept, so equal pools compare equal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    amounts: BTreeMap<String, Quantity>,
}

impl Resources {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a list from the wire. Ranges and items of one name must not overlap within the list.
    ///
    /// # Errors
    /// Names the resource and what is wrong with it.
    pub fn from_wire(list: &[Resource]) -> Result<Self, ResourceError> {
        let mut all = Self::new();
        for resource in list {
            if resource.name.is_empty() {
                return Err(ResourceError::Name);
            }
            let quantity = read_quantity(resource)?;
            all.add_quantity(&resource.name, quantity, true)?;
        }
        Ok(all)
    }

    /// The wire form, every resource allocated to `role` when given.
    pub fn to_wire(&self, role: Option<&str>) -> Vec<Resource> {
        self.amounts
            .iter()
            .map(|(name, quantity)| write_quantity(name, quantity, role))
            .collect()
    }

    /// Nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.amounts.is_empty()
    }

    /// A scalar in units; 0 when absent.
    pub fn scalar(&self, name: &str) -> f64 {
        match self.amounts.get(name) {
            Some(Quantity::Scalar(thousandths)) => from_thousandths(*thousandths),
            _ => 0.0,
        }
    }

    /// A scalar in thousandths; 0 when absent.
    pub fn thousandths(&self, name: &str) -> i64 {
        match self.amounts.get(name) {
            Some(Quantity::Scalar(thousandths)) => *thousandths,
            _ => 0,
        }
    }

    /// Inclusive ranges of that name.
    pub fn ranges(&self, name: &str) -> &[(u64, u64)] {
        match self.amounts.get(name) {
            Some(Quantity::Ranges(ranges)) => ranges,
            _ => &[],
        }
    }

    /// All amounts by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Quantity)> {
        self.amounts
            .iter()
            .map(|(name, quantity)| (name.as_str(), quantity))
    }

    /// Sets a scalar.
    #[must_use]
    pub fn with_scalar(mut self, name: &str, amount: f64) -> Self {
        let thousandths = to_thousandths(amount).unwrap_or(0);
        if thousandths > 0 {
            self.amounts
                .insert(name.to_owned(), Quantity::Scalar(thousandths));
        } else {
            self.amounts.remove(name);
        }
        self
    }

    /// Sets inclusive ranges.
    #[must_use]
    pub fn with_ranges(mut self, name: &str, ranges: &[(u64, u64)]) -> Self {
        let merged = merge(ranges.to_vec());
        if merged.is_empty() {
            self.amounts.remove(name);
        } else {
            self.amounts
                .insert(name.to_owned(), Quantity::Ranges(merged));
        }
        self
    }

    /// Adds all of `other`. A name used with two types keeps its first.
    pub fn add(&mut self, other: &Self) {
        for (name, quantity) in &other.amounts {
            // A clash of types cannot come from `from_wire`, which checks each list, nor from one host's pool.
            let _clash = self.add_quantity(name, quantity.clone(), false);
        }
    }

    /// Takes `other` away; what is not there is ignored, and never goes below nothing.
    pub fn subtract(&mut self, other: &Self) {
        for (name, taken) in &other.amounts {
            let Some(have) = self.amounts.get_mut(name) else {
                continue;
            };
            let empty = match (&mut *have, taken) {
                (Quantity::Scalar(have), Quantity::Scalar(taken)) => {
                    *have = have.saturating_sub(*taken).max(0);
                    *have == 0
                }
                (Quantity::Ranges(have), Quantity::Ranges(taken)) => {
                    *have = without(have, taken);
                    have.is_empty()
                }
                (Quantity::Set(have), Quantity::Set(taken)) => {
                    have.retain(|item| !taken.contains(item));
                    have.is_empty()
                }
                _ => false,
            };
            if empty {
                self.amounts.remove(name);
            }
        }
    }

    /// All of `other` is in here.
    pub fn contains(&self, other: &Self) -> bool {
        other
            .amounts
            .iter()
            .all(|(name, wanted)| match (self.amounts.get(name), wanted) {
                (Some(Quantity::Scalar(have)), Quantity::Scalar(wanted)) => have >= wanted,
                (Some(Quantity::Ranges(have)), Quantity::Ranges(wanted)) => {
                    wanted.iter().all(|(begin, end)| {
                        have.iter()
                            .any(|(first, last)| first <= begin && end <= last)
                    })
                }
                (Some(Quantity::Set(have)), Quantity::Set(wanted)) => wanted.is_subset(have),
                _ => false,
            })
    }

    /// Ranges or set items that both have: `name: value`.
    pub fn overlap(&self, other: &Self) -> Option<String> {
        other
            .amounts
            .iter()
            .find_map(|(name, theirs)| match (self.amounts.get(name), theirs) {
                (Some(Quantity::Ranges(have)), Quantity::Ranges(theirs)) => {
                    common(have, theirs).map(|value| format!("{name}: {value}"))
                }
                (Some(Quantity::Set(have)), Quantity::Set(theirs)) => have
                    .intersection(theirs)
                    .next()
                    .map(|item| format!("{name}: {item}")),
                _ => None,
            })
    }

    /// Takes the `count` lowest values out of a range resource; `None` (and nothing taken) when there are fewer.
    pub fn take_values(&mut self, name: &str, count: usize) -> Option<Vec<u64>> {
        let values: Vec<u64> = self
            .ranges(name)
            .iter()
            .flat_map(|(begin, end)| *begin..=*end)
            .take(count)
            .collect();
        if values.len() < count {
            return None;
        }
        let taken = Self::new().with_ranges(
            name,
            &values
                .iter()
                .map(|value| (*value, *value))
                .collect::<Vec<_>>(),
        );
        self.subtract(&taken);
        Some(values)
    }

    fn add_quantity(
        &mut self,
        name: &str,
        quantity: Quantity,
        distinct: bool,
    ) -> Result<(), ResourceError> {
        let overlap = |item: String| ResourceError::Overlap {
            name: name.to_owned(),
            item,
        };
        match self.amounts.get_mut(name) {
            None => {
                let empty = match &quantity {
                    Quantity::Scalar(thousandths) => *thousandths == 0,
                    Quantity::Ranges(ranges) => ranges.is_empty(),
                    Quantity::Set(items) => items.is_empty(),
                };
                if !empty {
                    self.amounts.insert(name.to_owned(), quantity);
                }
            }
            Some(have) => match (have, quantity) {
                (Quantity::Scalar(have), Quantity::Scalar(more)) => {
                    *have = have.saturating_add(more);
                }
                (Quantity::Ranges(have), Quantity::Ranges(more)) => {
                    if let Some(value) = common(have, &more).filter(|_| distinct) {
                        return Err(overlap(value.to_string()));
                    }
                    have.extend(more);
                    *have = merge(std::mem::take(have));
                }
                (Quantity::Set(have), Quantity::Set(more)) => {
                    if let Some(item) = have.intersection(&more).next().filter(|_| distinct) {
                        return Err(overlap(item.clone()));
                    }
                    have.extend(more);
                }
                _ => {
                    return Err(ResourceError::Type {
                        name: name.to_owned(),
                    });
                }
            },
        }
        Ok(())
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, quantity)) in self.amounts.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(formatter, "{separator}{name}:")?;
            match quantity {
                Quantity::Scalar(thousandths) => {
                    write!(formatter, "{}", from_thousandths(*thousandths))?;
                }
                Quantity::Ranges(ranges) => {
                    let text: Vec<String> = ranges
                        .iter()
                        .map(|(begin, end)| format!("{begin}-{end}"))
                        .collect();
                    write!(formatter, "[{}]", text.join(", "))?;
                }
                Quantity::Set(items) => {
                    let text: Vec<&str> = items.iter().map(String::as_str).collect();
                    write!(formatter, "{{{}}}", text.join(", "))?;
                }
            }
        }
        Ok(())
    }
}

/// Rounds to thousandths; `None` for what no resource can be.
pub fn to_thousandths(amount: f64) -> Option<i64> {
    // Above this a double no longer holds thousandths.
    if !amount.is_finite() || !(0.0..9e12).contains(&amount) {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, reason = "bounded above")]
    Some((amount * 1000.0).round() as i64)
}

/// Thousandths as units.
#[allow(clippy::cast_precision_loss, reason = "below 2^53 by construction")]
pub fn from_thousandths(thousandths: i64) -> f64 {
    thousandths as f64 / 1000.0
}

/// A scalar resource for the wire.
pub fn scalar(name: &str, amount: f64) -> Resource {
    Resource {
        name: name.to_owned(),
        r#type: ValueType::Scalar.number(),
        scalar: Some(Scalar { value: amount }),
        ..Resource::default()
    }
}

fn read_quantity(resource: &Resource) -> Result<Quantity, ResourceError> {
    let name = &resource.name;
    let kind = ValueType::try_from(resource.r#type).map_or("UNKNOWN", ValueType::wire_name);
    let missing = || ResourceError::Value {
        name: name.clone(),
        kind,
    };
    match ValueType::try_from(resource.r#type) {
        Ok(ValueType::Scalar) => {
            let amount = resource.scalar.as_ref().ok_or_else(missing)?.value;
            to_thousandths(amount)
                .map(Quantity::Scalar)
                .ok_or_else(|| ResourceError::Amount {
                    name: name.clone(),
                    amount: amount.to_string(),
                })
        }
        Ok(ValueType::Ranges) => {
            let list = &resource.ranges.as_ref().ok_or_else(missing)?.range;
            let mut ranges: Vec<(u64, u64)> =
                list.iter().map(|range| (range.begin, range.end)).collect();
            if let Some((begin, end)) = ranges.iter().find(|(begin, end)| end < begin) {
                return Err(ResourceError::Range {
                    name: name.clone(),
                    begin: *begin,
                    end: *end,
                });
            }
            ranges.sort_unstable();
            if let Some(item) = ranges.windows(2).find_map(|pair| match pair {
                [(_, last), (first, _)] if first <= last => Some(*first),
                _ => None,
            }) {
                return Err(ResourceError::Overlap {
                    name: name.clone(),
                    item: item.to_string(),
                });
            }
            Ok(Quantity::Ranges(merge(ranges)))
        }
        Ok(ValueType::Set) => {
            let mut items = BTreeSet::new();
            for item in &resource.set.as_ref().ok_or_else(missing)?.item {
                if !items.insert(item.clone()) {
                    return Err(ResourceError::Overlap {
                        name: name.clone(),
                        item: item.clone(),
                    });
                }
            }
            Ok(Quantity::Set(items))
        }
        Ok(ValueType::Text) | Err(_) => Err(missing()),
    }
}

fn write_quantity(name: &str, quantity: &Quantity, role: Option<&str>) -> Resource {
    let mut resource = Resource {
        name: name.to_owned(),
        role: Some("*".to_owned()),
        allocation_info: role.map(|role| AllocationInfo {
            role: Some(role.to_owned()),
        }),
        ..Resource::default()
    };
    match quantity {
        Quantity::Scalar(thousandths) => {
            resource.r#type = ValueType::Scalar.number();
            resource.scalar = Some(Scalar {
                value: from_thousandths(*thousandths),
            });
        }
        Quantity::Ranges(ranges) => {
            resource.r#type = ValueType::Ranges.number();
            let range = ranges
                .iter()
                .map(|(begin, end)| Range {
                    begin: *begin,
                    end: *end,
                })
                .collect();
            resource.ranges = Some(Ranges { range });
        }
        Quantity::Set(items) => {
            resource.r#type = ValueType::Set.number();
            resource.set = Some(Set {
                item: items.iter().cloned().collect(),
            });
        }
    }
    resource
}

fn merge(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.retain(|(begin, end)| begin <= end);
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (begin, end) in ranges {
        match merged.last_mut() {
            Some((_, last)) if begin <= last.saturating_add(1) => *last = (*last).max(end),
            _ => merged.push((begin, end)),
        }
    }
    merged
}

fn without(have: &[(u64, u64)], taken: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut rest = have.to_vec();
    for (first, last) in taken {
        rest = rest
            .into_iter()
            .flat_map(|(begin, end)| {
                if *last < begin || end < *first {
                    return [Some((begin, end)), None];
                }
                let low = first
                    .checked_sub(1)
                    .filter(|low| begin <= *low)
                    .map(|low| (begin, low));
                let high = last
                    .checked_add(1)
                    .filter(|high| *high <= end)
                    .map(|high| (high, end));
                [low, high]
            })
            .flatten()
            .collect();
    }
    rest
}

fn common(left: &[(u64, u64)], right: &[(u64, u64)]) -> Option<u64> {
    left.iter().find_map(|(begin, end)| {
        right
            .iter()
            .find(|(first, last)| first <= end && begin <= last)
            .map(|(first, _)| *first.max(begin))
    })
}

#[cfg(test)]
#[path = "resources_tests.rs"]
mod tests;
