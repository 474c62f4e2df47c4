-- What `mqops doctor` asks a database.

-- name: server
SELECT current_setting('server_version_num')::integer, current_setting('server_version'),
       extract(epoch FROM clock_timestamp())::double precision;
