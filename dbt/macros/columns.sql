{# the columns that the table of events has: their names by the same names in lower case, since some targets change case #}
{% macro source_columns(relation) %}
  {% set columns = {} %}
  {% for column in adapter.get_columns_in_relation(relation) %}
    {% do columns.update({column.name | lower: column}) %}
  {% endfor %}
  {{ return(columns) }}
{% endmacro %}

{# a column of the table with a type; null if it is not there, as when the catalog deselects it #}
{% macro typed(columns, name, type) %}
  {% set column = columns.get(name | lower) %}
  {% if not column %}
    {{ return('cast(null as ' ~ type ~ ')') }}
  {% elif type == 'timestamp' and ('with time zone' in column.data_type | lower or 'tz' in column.data_type | lower) %}
    {{ return('(' ~ adapter.quote(column.name) ~ " at time zone 'UTC')") }}
  {% elif type == 'text' %}
    {{ return('nullif(cast(' ~ adapter.quote(column.name) ~ " as text), '')") }}
  {% else %}
    {{ return('cast(' ~ adapter.quote(column.name) ~ ' as ' ~ type ~ ')') }}
  {% endif %}
{% endmacro %}

{# The custom variables that get a column, each with `name`, `column` and `type`. An entry of the list is a name or, as
   in the tap's setting `custom_columns`, an object with `name` and `column`. #}
{% macro custom_variables() %}
  {% set types = {'int': 'bigint', 'real': 'double precision', 'bool': 'boolean', 'date': 'timestamp'} %}
  {% set variables = [] %}
  {% for entry in var('fullstory_custom_vars', []) %}
    {% set name = entry if entry is string else entry.name %}
    {% set column = name if entry is string else entry.get('column', name) %}
    {% do variables.append({
      'name': name,
      'in_source': modules.re.sub('[."\\\\]', '_', column) | lower,
      'column': modules.re.sub('[^a-z0-9_]', '_', column | lower)[:63],
      'type': types.get(name.split('_') | last, 'text'),
    }) %}
  {% endfor %}
  {{ return(variables) }}
{% endmacro %}

{# A custom variable, from its own column where the tap has given it one, else from CustomVars: older rows have it there.
   A value that does not fit the type is null; it stays in custom_vars. #}
{% macro custom_value(columns, variable) %}
  {% set text = fullstory_singer.json_member('custom_vars', variable.name) %}
  {% if variable.type == 'bigint' %}
    {% set value = "case when " ~ text ~ " ~ '^-?[0-9]+([.]0+)?$' then "
      ~ fullstory_singer.safe_cast("split_part(" ~ text ~ ", '.', 1)", 'bigint') ~ ' end' %}
  {% elif variable.type == 'double precision' %}
    {% set value = "case when " ~ text ~ " ~ '^-?[0-9][0-9.eE+-]*$' then "
      ~ fullstory_singer.safe_cast(text, 'double precision') ~ ' end' %}
  {% elif variable.type == 'boolean' %}
    {% set value = 'case ' ~ text ~ " when 'true' then true when 'false' then false end" %}
  {% elif variable.type == 'timestamp' %}
    {# without a zone it is UTC #}
    {% set zoned = "case when " ~ text ~ " ~ '^.*T.*(Z|[+-][0-9]{2}:?[0-9]{2})$' then " ~ text
      ~ " when " ~ text ~ " ~ '^.*T.*$' then " ~ text ~ " || 'Z' else " ~ text ~ " || 'T00:00:00Z' end" %}
    {% set value = "case when " ~ text ~ " ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}(T.*)?$' then "
      ~ fullstory_singer.safe_cast('(' ~ zoned ~ ')', 'timestamp with time zone') ~ " end at time zone 'UTC'" %}
  {% else %}
    {% set value = "nullif(" ~ text ~ ", '')" %}
  {% endif %}
  {% if variable.in_source in columns %}
    {% set value = 'coalesce(source_' ~ variable.column ~ ', ' ~ value ~ ')' %}
  {% endif %}
  {{ return(value) }}
{% endmacro %}
