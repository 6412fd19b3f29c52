-- One candidate row per visit. `write` keeps the one with the latest visit.
SELECT
    _position,
    visitor.visitor_id AS visitor_id,
    visitor.first_seen_on AS first_seen_on,
    visitor.country AS country,
    visitor.consent AS consent,
    started_at AS last_visit_at
FROM records
