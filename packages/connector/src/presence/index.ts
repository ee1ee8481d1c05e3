// The front of the discovery room.
export { modelCard } from './model-card.ts'
export { RetainedPublisher } from './retained-publisher.ts'
