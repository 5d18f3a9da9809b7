{# What databases write differently. For another one, add its macros: snowflake__parsed_json and so on. #}

{# JSON text as the database's own type of JSON #}
{% macro parsed_json(text) %}{{ return(adapter.dispatch('parsed_json', 'fullstory_singer')(text)) }}{% endmacro %}

{% macro postgres__parsed_json(text) %}{{ return('cast(' ~ text ~ ' as jsonb)') }}{% endmacro %}

{% macro duckdb__parsed_json(text) %}{{ return('cast(' ~ text ~ ' as json)') }}{% endmacro %}


{# one member of an object as text; names hold dots, which are no steps of a path #}
{% macro json_member(json, name) %}{{ return(adapter.dispatch('json_member', 'fullstory_singer')(json, name)) }}{% endmacro %}

{% macro postgres__json_member(json, name) %}{{ return('(' ~ json ~ " ->> '" ~ name | replace("'", "''") ~ "')") }}{% endmacro %}

{% macro duckdb__json_member(json, name) %}{{ return('(' ~ json ~ " ->> '$.\"" ~ name | replace("'", "''") ~ "\"')") }}{% endmacro %}


{# text as a value of a type, null if it is none: one odd value must not break the whole view #}
{% macro safe_cast(text, type) %}{{ return(adapter.dispatch('safe_cast', 'fullstory_singer')(text, type)) }}{% endmacro %}

{% macro postgres__safe_cast(text, type) %}
  {{- return("case when pg_input_is_valid(" ~ text ~ ", '" ~ type ~ "') then cast(" ~ text ~ ' as ' ~ type ~ ') end') -}}
{% endmacro %}

{% macro duckdb__safe_cast(text, type) %}
  {% set value = 'try_cast(' ~ text ~ ' as ' ~ type ~ ')' %}
  {# what no double holds would be infinite #}
  {{- return('case when isfinite(' ~ value ~ ') then ' ~ value ~ ' end' if type == 'double precision' else value) -}}
{% endmacro %}


{# what the parentheses of a pattern hold, null if there is no such thing or it is empty #}
{% macro found_in(text, pattern) %}{{ return(adapter.dispatch('found_in', 'fullstory_singer')(text, pattern)) }}{% endmacro %}

{% macro postgres__found_in(text, pattern) %}{{ return('nullif(substring(' ~ text ~ " from '" ~ pattern ~ "'), '')") }}{% endmacro %}

{% macro duckdb__found_in(text, pattern) %}{{ return('nullif(regexp_extract(' ~ text ~ ", '" ~ pattern ~ "', 1), '')") }}{% endmacro %}


{# seconds from one time to another, with their fractions #}
{% macro seconds_between(start, stop) %}{{ return(adapter.dispatch('seconds_between', 'fullstory_singer')(start, stop)) }}{% endmacro %}

{% macro postgres__seconds_between(start, stop) %}
  {{- return('cast(extract(epoch from ' ~ stop ~ ' - ' ~ start ~ ') as double precision)') -}}
{% endmacro %}

{% macro duckdb__seconds_between(start, stop) %}
  {{- return('(epoch_us(' ~ stop ~ ') - epoch_us(' ~ start ~ ')) / 1e6') -}}
{% endmacro %}
