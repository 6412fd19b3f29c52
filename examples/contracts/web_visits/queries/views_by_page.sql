-- Views by page: the number of views and visitors, the time spent, and how far visitors scrolled.
SELECT
    page_views.path,
    count(*) AS views,
    count(DISTINCT visits.visitor_id) AS visitors,
    sum(page_views.seconds) AS seconds,
    avg(page_views.scroll_depth) AS scroll_depth
FROM page_views_current AS page_views
JOIN visits_current AS visits ON visits.visit_id = page_views.visit_id
GROUP BY page_views.path
ORDER BY views DESC, page_views.path
