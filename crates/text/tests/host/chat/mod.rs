mod messages;
mod templates;
