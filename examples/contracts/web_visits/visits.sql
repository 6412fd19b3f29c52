SELECT
    _position,
    visit_id,
    visitor.visitor_id AS visitor_id,
    started_at,
    ended_at,
    logged_in,
    referrer,
    device.kind AS device,
    device.browser AS browser,
    device.screen.width AS screen_width,
    device.screen.height AS screen_height,
    len(page_views) AS view_count,
    seconds_viewed
FROM records
