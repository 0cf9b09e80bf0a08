//! What the tests read of a picture.

/// What the text elements say, in their order. Fails where tags are not nested or closed as XML wants it.
pub fn texts(svg: &str) -> Vec<&str> {
    let (mut open, mut texts, mut rest) = (Vec::new(), Vec::new(), svg);
    while let Some((text, after)) = rest.split_once('<') {
        if open.last() == Some(&"text") {
            texts.push(text.trim());
        } else {
            assert_eq!(text.trim(), "");
        }
        let (tag, after) = after.split_once('>').unwrap();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        rest = after;
    }
    assert!(open.is_empty() && rest.trim().is_empty());
    texts.retain(|text| !text.is_empty());
    texts
}

/// The tags with this name.
pub fn tags<'a>(svg: &'a str, name: &str) -> Vec<&'a str> {
    let tags = svg.split('<').skip(1);
    let named = tags.filter(|tag| tag.split(' ').next() == Some(name));
    named.map(|tag| tag.split('>').next().unwrap()).collect()
}

/// An attribute of a tag.
pub fn attribute<'a>(tag: &'a str, name: &str) -> &'a str {
    let (_, value) = tag.split_once(&format!(" {name}=\"")).unwrap();
    value.split('"').next().unwrap()
}

/// A number in an attribute.
pub fn number(tag: &str, name: &str) -> f64 {
    attribute(tag, name).parse().unwrap()
}

/// The places that a polyline joins.
pub fn places(polyline: &str) -> Vec<(f64, f64)> {
    let places = attribute(polyline, "points").split_whitespace();
    let place = |place: &str| {
        let (x, y) = place.split_once(',').unwrap();
        (x.parse().unwrap(), y.parse().unwrap())
    };
    places.map(place).collect()
}
