{#- The column of the tap, its name here, and its type. Names are those of Fullstory's own dbt package where it has them. -#}
{%- set fields = [
  ('event_id', 'event_id', 'text'),
  ('IndvId', 'individual_id', 'bigint'),
  ('UserId', 'device_id', 'bigint'),
  ('SessionId', 'session_id', 'bigint'),
  ('PageId', 'view_id', 'bigint'),
  ('UserCreated', 'device_created_time', 'timestamp'),
  ('UserAppKey', 'user_id', 'text'),
  ('UserDisplayName', 'user_display_name', 'text'),
  ('UserEmail', 'user_email', 'text'),
  ('SessionStart', 'session_start_time', 'timestamp'),
  ('EventStart', 'event_time', 'timestamp'),
  ('EventType', 'event_type', 'text'),
  ('EventSubType', 'event_sub_type', 'text'),
  ('EventCustomName', 'event_custom_name', 'text'),
  ('EventTargetText', 'target_text', 'text'),
  ('EventTargetSelector', 'target_raw_selector', 'text'),
  ('EventTargetSelectorTok', 'target_selector_tokens', 'text'),
  ('EventDuration', 'event_duration', 'bigint'),
  ('EventSecondaryDuration', 'event_secondary_duration', 'bigint'),
  ('EventPageOffset', 'event_page_offset', 'bigint'),
  ('EventSessionOffset', 'event_session_offset', 'bigint'),
  ('EventModFrustrated', 'event_mod_frustrated', 'bigint'),
  ('EventModDead', 'event_mod_dead', 'bigint'),
  ('EventModError', 'event_mod_error', 'bigint'),
  ('EventModSuspicious', 'event_mod_suspicious', 'bigint'),
  ('EventCumulativeLayoutShift', 'cumulative_layout_shift', 'double precision'),
  ('EventFirstInputDelay', 'first_input_delay', 'bigint'),
  ('EventVarErrorKind', 'event_var_error_kind', 'text'),
  ('EventVarFields', 'event_var_fields', 'text'),
  ('EventWebSourceFileUrl', 'web_source_file_url', 'text'),
  ('EventMobileSourceFile', 'mobile_source_file', 'text'),
  ('PageName', 'page_name', 'text'),
  ('PageStart', 'page_start_time', 'timestamp'),
  ('PageDuration', 'page_duration', 'bigint'),
  ('PageActiveDuration', 'page_active_duration', 'bigint'),
  ('PageUrl', 'url_full_url', 'text'),
  ('PageRefererUrl', 'initial_referrer_full_url', 'text'),
  ('PageIp', 'geo_ip_address', 'text'),
  ('PageLatLong', 'geo_lat_long', 'text'),
  ('PageAgent', 'device_user_agent', 'text'),
  ('PageBrowser', 'device_browser', 'text'),
  ('PageBrowserVersion', 'device_browser_version', 'text'),
  ('PageDevice', 'device_type', 'text'),
  ('PagePlatform', 'page_platform', 'text'),
  ('PageOperatingSystem', 'device_operating_system', 'text'),
  ('PageScreenWidth', 'device_screen_width', 'bigint'),
  ('PageScreenHeight', 'device_screen_height', 'bigint'),
  ('PageViewportWidth', 'device_viewport_width', 'bigint'),
  ('PageViewportHeight', 'device_viewport_height', 'bigint'),
  ('PageNumEvents', 'page_num_events', 'bigint'),
  ('PageNumDerivedEvents', 'page_num_derived_events', 'bigint'),
  ('PageNumInfos', 'page_num_infos', 'bigint'),
  ('PageNumWarnings', 'page_num_warnings', 'bigint'),
  ('PageNumErrors', 'page_num_errors', 'bigint'),
  ('PageClusterId', 'page_cluster_id', 'bigint'),
  ('PageMaxScrollDepthPercent', 'page_max_scroll_depth_percent', 'bigint'),
  ('LoadDomContentTime', 'load_dom_content_time', 'bigint'),
  ('LoadEventTime', 'load_event_time', 'bigint'),
  ('LoadFirstPaintTime', 'load_first_paint_time', 'bigint'),
  ('LoadLargestPaintTime', 'load_largest_paint_time', 'bigint'),
  ('ReqUrl', 'request_url', 'text'),
  ('ReqMethod', 'request_method', 'text'),
  ('ReqStatus', 'request_status', 'bigint'),
  ('AppName', 'app_name', 'text'),
  ('AppPackageName', 'app_package_name', 'text'),
  ('AppDeviceModel', 'app_device_model', 'text'),
  ('AppDeviceVendor', 'app_device_vendor', 'text'),
  ('AppVersion', 'app_version', 'text'),
  ('AppOsVersion', 'app_os_version', 'text'),
  ('AppViewName', 'app_view_name', 'text'),
  ('_bundle_id', 'bundle_id', 'bigint'),
] -%}
{#- Fullstory leaves zeros out. Where, as a condition, one was left out and not just nothing measured. -#}
{%- set zeros = {
  'event_mod_frustrated': 'true',
  'event_mod_dead': 'true',
  'event_mod_error': 'true',
  'event_mod_suspicious': 'true',
  'page_duration': 'true',
  'page_active_duration': 'true',
  'page_num_infos': 'true',
  'page_num_warnings': 'true',
  'page_num_errors': 'true',
  'page_num_derived_events': 'page_num_events is not null',
  'event_session_offset': 'session_start_time is not null',
  'event_page_offset': 'page_start_time is not null',
  'page_max_scroll_depth_percent': "event_type = 'navigate' and page_start_time is not null",
  'event_duration': "event_type = 'seen' and page_start_time is not null",
  'event_secondary_duration': "event_type = 'seen' and page_start_time is not null",
  'cumulative_layout_shift': "event_type = 'cumulative_layout_shift'",
  'first_input_delay': "event_type = 'first_input_delay'",
  'request_status': 'request_url is not null',
} -%}
{%- set columns = fullstory_singer.source_columns(source('fullstory', 'events')) -%}
{%- set variables = fullstory_singer.custom_variables() -%}

with renamed as (

  select
    {%- for name, ours, type in fields %}
    {{ fullstory_singer.typed(columns, name, type) }} as {{ ours }},
    {%- endfor %}
    {%- for variable in variables if variable.in_source in columns %}
    {{ fullstory_singer.typed(columns, variable.in_source, variable.type) }} as source_{{ variable.column }},
    {%- endfor %}
    {{ fullstory_singer.parsed_json(fullstory_singer.typed(columns, 'CustomVars', 'text')) }} as custom_vars
  from {{ source('fullstory', 'events') }}

)

select
  {%- for _, ours, _ in fields %}
  {% if ours in zeros -%}
  case when {{ zeros[ours] }} then coalesce({{ ours }}, 0) else {{ ours }} end as {{ ours }},
  {%- else -%}
  {{ ours }},
  {%- endif %}
  {%- endfor %}
  cast(device_id as text) || ':' || cast(session_id as text) as full_session_id,
  cast(device_id as text) || ':' || cast(session_id as text) || ':' || cast(view_id as text) as full_view_id,
  {{ fullstory_singer.found_in('url_full_url', '^[^:/?#]*://([^/?#]*)') }} as url_host,
  {{ fullstory_singer.found_in('url_full_url', '^[^:/?#]*://[^/?#]*([^?#]*)') }} as url_path,
  {{ fullstory_singer.found_in('url_full_url', '^[^?#]*[?]([^#]*)') }} as url_query,
  {{ fullstory_singer.found_in('url_full_url', '^[^#]*#([^?]*)') }} as url_hash_path,
  {{ fullstory_singer.found_in('url_full_url', '^[^#]*#[^?]*[?](.*)$') }} as url_hash_query,
  coalesce(page_name, regexp_replace(url_full_url, '[?][^#]*', '', 'g'), app_view_name) as page,
  {%- for variable in variables %}
  {{ fullstory_singer.custom_value(columns, variable) }} as {{ variable.column }},
  {%- endfor %}
  custom_vars
from renamed
