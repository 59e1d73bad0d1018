"""Does a sweep lose anything, whatever happens to it? ``python -m validation.reliability EXPERIMENT...`` finds out.

Each experiment of `EXPERIMENTS` puts its figures into validation/records/reliability.json and docs/reliability.md. All
check the same after every fault: the finished records are still there, byte for byte; every file under a record's name
is a readable record of its own digest; and once the sweep has been started often enough, the set is that of an
undisturbed sweep, byte for byte but for the provenance, with no temporary file and no list of runs left over.
"""
