-- Macros that the rules, control totals and tables of this contract share.

CREATE MACRO seconds_of(page_views) AS
    list_sum(list_transform(page_views, lambda page_view: page_view.seconds));

CREATE MACRO scroll_depth_of(page_views) AS
    list_sum(list_transform(page_views, lambda page_view: page_view.scroll_depth));
