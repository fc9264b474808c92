//! Host ports: drawn from the ranges that a host offers, starting behind the last one drawn, so
//! that a program which is started again does not meet its predecessor's socket.

use bcs_mesos::Resources;

/// Draws `count` ports out of `free` and removes them there; `None` and unchanged when there are
/// not enough.
pub(crate) fn draw(free: &mut Resources, count: usize, cursor: &mut u64) -> Option<Vec<u64>> {
    if count == 0 {
        return Some(Vec::new());
    }
    let ranges: Vec<(u64, u64)> = free.ranges("ports").to_vec();
    let start = *cursor;
    let behind = ranges
        .iter()
        .filter(|(_, end)| *end >= start)
        .flat_map(|(begin, end)| (*begin).max(start)..=*end);
    let before = ranges
        .iter()
        .filter(|(begin, _)| *begin < start)
        .flat_map(|(begin, end)| *begin..=(*end).min(start.saturating_sub(1)));
    let drawn: Vec<u64> = behind.chain(before).take(count).collect();
    if drawn.len() < count {
        return None;
    }
    if let Some(last) = drawn.last() {
        *cursor = last + 1;
    }
    take(free, &drawn);
    Some(drawn)
}

/// Removes these ports from `free`.
pub(crate) fn take(free: &mut Resources, ports: &[u64]) {
    let ranges: Vec<(u64, u64)> = ports.iter().map(|port| (*port, *port)).collect();
    free.subtract(&Resources::new().with_ranges("ports", &ranges));
}

/// Whether `free` has this port.
pub(crate) fn has(free: &Resources, port: u64) -> bool {
    free.ranges("ports")
        .iter()
        .any(|(begin, end)| (*begin..=*end).contains(&port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_go_round_and_are_never_drawn_twice() {
        let mut free = Resources::new().with_ranges("ports", &[(10, 12), (20, 20)]);
        let mut cursor = 12;
        assert_eq!(draw(&mut free, 2, &mut cursor), Some(vec![12, 20]));
        assert_eq!(draw(&mut free, 3, &mut cursor), None);
        assert_eq!(draw(&mut free, 2, &mut cursor), Some(vec![10, 11]));
        assert_eq!(draw(&mut free, 1, &mut cursor), None);
        assert_eq!(draw(&mut free, 0, &mut cursor), Some(vec![]));
        assert!(!has(&free, 10));
    }
}
