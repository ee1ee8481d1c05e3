// Lane: a session of its own for a model whose calls take long, so that they hold up nothing else on any broker.
export { Lanes } from './lanes.ts'
