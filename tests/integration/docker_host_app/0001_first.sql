-- migrate:up
CREATE TABLE disputes (id bigint PRIMARY KEY);

-- migrate:down
DROP TABLE disputes;
