SELECT _position, return_id, country, day, complete, weight, refund FROM records
