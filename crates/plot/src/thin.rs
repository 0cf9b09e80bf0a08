//! From all points to the few hundred that a picture can show.

use std::mem;

/// Where on the x axis, and where on the y axis.
pub type Point = (f64, f64);

/// A curve is thinned out to at most twice as many points: more would not be seen.
pub const BUCKETS: usize = 400;

/// The lowest and the highest point of each of [`BUCKETS`] equal stretches of x, in their order: what a curve of all
/// points would look like at this size. The points are in the order of x.
pub fn extremes(points: &[Point]) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    if points.len() <= 2 * BUCKETS {
        return points.to_vec();
    }
    let per_x = BUCKETS as f64 / (last.0 - first.0);
    let bucket = |point: &Point| ((point.0 - first.0) * per_x).min(BUCKETS as f64 - 1.0) as usize;
    let mut kept = Vec::with_capacity(2 * BUCKETS);
    for together in points.chunk_by(|a, b| bucket(a) == bucket(b)) {
        let lower = |a: &usize, b: &usize| together[*a].1.total_cmp(&together[*b].1);
        let all = || 0..together.len();
        if let (Some(low), Some(high)) = (all().min_by(lower), all().max_by(lower)) {
            kept.push(together[low.min(high)]);
            if low != high {
                kept.push(together[low.max(high)]);
            }
        }
    }
    kept
}

/// The pieces of a curve that are not above `top`, cut where it crosses.
pub fn below(points: &[Point], top: f64) -> Vec<Vec<Point>> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    let mut previous: Option<Point> = None;
    for &point in points {
        let seen = point.1 <= top;
        if let Some(before) = previous
            && seen != (before.1 <= top)
        {
            let part = (top - before.1) / (point.1 - before.1);
            piece.push((before.0 + part * (point.0 - before.0), top));
            if !seen {
                pieces.push(mem::take(&mut piece));
            }
        }
        if seen {
            piece.push(point);
        }
        previous = Some(point);
    }
    pieces.push(piece);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_survives_and_the_rest_is_thinned_out() {
        let mut points: Vec<Point> = (0..100_000).map(|x| (f64::from(x), 1.0)).collect();
        points[77_777].1 = 9.0;
        let kept = extremes(&points);
        assert!(kept.len() <= 2 * BUCKETS && kept.contains(&(77_777.0, 9.0)));
        assert!(kept.is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn points_at_one_place_are_thinned_out_too() {
        let points: Vec<Point> = (0..1000).map(|y| (3.0, f64::from(y))).collect();
        assert_eq!(extremes(&points), [(3.0, 0.0), (3.0, 999.0)]);
    }

    #[test]
    fn a_curve_is_cut_where_it_crosses_the_top() {
        let pieces = below(
            &[(0.0, 4.0), (1.0, 2.0), (2.0, 2.0), (3.0, 4.0), (4.0, 4.0)],
            3.0,
        );
        assert_eq!(pieces[0], [(0.5, 3.0), (1.0, 2.0), (2.0, 2.0), (2.5, 3.0)]);
    }
}
