-- Run once, by the image, when the data directory is new: one database for each service, closed to the other.
\getenv producer_password PRODUCER_DATABASE_PASSWORD
\getenv consumer_password CONSUMER_DATABASE_PASSWORD

CREATE ROLE producer LOGIN PASSWORD :'producer_password';
CREATE DATABASE producer OWNER producer;
REVOKE ALL ON DATABASE producer FROM PUBLIC;

CREATE ROLE consumer LOGIN PASSWORD :'consumer_password';
CREATE DATABASE consumer OWNER consumer;
REVOKE ALL ON DATABASE consumer FROM PUBLIC;
