//! What was measured beside what the papers claim.

/// What was measured of one contender at one position.
pub struct Row {
    pub name: &'static str,
    pub position: usize,
    /// Seconds to read the text up to here.
    pub prefill: f64,
    /// Tokens per second of the last pieces.
    pub read: f64,
    /// Tokens per second, best and median.
    pub decode: (f64, f64),
    /// To the first contender at its window.
    pub ratio: f64,
    pub bytes: u64,
}

/// The rows of one contender.
pub fn of<'a>(name: &str, rows: &'a [Row]) -> impl Iterator<Item = &'a Row> {
    rows.iter().filter(move |row| row.name == name)
}

/// Seconds for all tokens up to each position in turn, where a token takes `1 / speed(row)` seconds at a position and what is
/// between two positions lies on a line.
pub fn seconds_up_to<'a>(
    rows: impl Iterator<Item = &'a Row>,
    speed: impl Fn(&Row) -> f64,
) -> impl Iterator<Item = (usize, f64)> {
    let mut total = 0.0;
    let mut before: Option<(usize, f64)> = None;
    rows.map(move |row| {
        let token = 1.0 / speed(row);
        let (from, at_from) = before.unwrap_or((0, token));
        total += (row.position - from) as f64 * (at_from + token) / 2.0;
        before = Some((row.position, token));
        (row.position, total)
    })
}

/// Each claim, what was measured for it, and whether it holds; or what is missing.
pub fn claims(rows: &[Row]) -> Vec<String> {
    let at = |name: &str, position| of(name, rows).find(|row| row.position == position);
    let times = |what: &str, claim: f64, measured: Option<f64>| match measured {
        Some(times) => {
            let holds = if times >= claim { "holds here" } else { "does not hold here" };
            format!("{what}: {times:.2} times here, {claim} in the paper: {holds}")
        }
        None => format!("{what}: not measured, somebody stopped before"),
    };
    let prefill = at("full", 131_072).zip(at("samba", 131_072)).map(|(full, samba)| full.prefill / samba.prefill);
    let generating = |name| {
        let mut all = seconds_up_to(of(name, rows), |row| row.decode.1);
        all.find(|(position, _)| *position == 65_536).map(|(_, seconds)| seconds)
    };
    let generating = generating("full").zip(generating("samba")).map(|(full, samba)| full / samba);
    let decode = at("retnet", 8192).zip(at("full", 8192)).map(|(retnet, full)| retnet.decode.1 / full.decode.1);
    let mut all = vec![
        times("Samba, a prompt of 131,072 tokens beside full attention", 3.73, prefill),
        times("Samba, 65,536 tokens generated beside full attention", 3.64, generating),
        times("RetNet, decode at 8,192 beside full attention", 8.4, decode),
    ];
    for name in ["mamba", "mamba2"] {
        let (Some(first), Some(last)) = (of(name, rows).next(), of(name, rows).last()) else { continue };
        let (longer, takes) = (last.position as f64 / first.position as f64, last.prefill / first.prefill);
        let decode = last.decode.1 / first.decode.1;
        all.push(format!(
            "{name}, linear: {longer:.0} times the text is read in {takes:.0} times the time, and decodes at {decode:.2} of the speed"
        ));
    }
    all
}
