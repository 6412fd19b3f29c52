SELECT
    _position,
    visit_id,
    page_view.number AS number,
    unnest(page_view.tags) AS tag
FROM (SELECT _position, visit_id, unnest(page_views) AS page_view FROM records)
