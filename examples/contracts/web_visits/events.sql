-- Events have no number in the source. Their position in the producer's list becomes their number.
SELECT
    _position,
    visit_id,
    number,
    event_number,
    event.kind AS kind,
    event.target AS target,
    event.at_ms AS at_ms
FROM (
    SELECT
        _position,
        visit_id,
        page_view.number AS number,
        unnest(page_view.events) AS event,
        generate_subscripts(page_view.events, 1) AS event_number
    FROM (SELECT _position, visit_id, unnest(page_views) AS page_view FROM records)
)
