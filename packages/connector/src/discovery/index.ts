// The front of the discovery room.
export { modelCard, type CardFacts } from './model-card.ts'
