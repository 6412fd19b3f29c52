SELECT
    _position,
    visit_id,
    page_view.number AS number,
    page_view.path AS path,
    page_view.opened_at AS opened_at,
    page_view.seconds AS seconds,
    page_view.load_seconds AS load_seconds,
    page_view.scroll_depth AS scroll_depth,
    coalesce(len(page_view.events), 0) AS event_count
FROM (SELECT _position, visit_id, unnest(page_views) AS page_view FROM records)
