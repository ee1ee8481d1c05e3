// Publishes the retained messages about the connector and its models: status, cards, Will.
export { LeftOverCards } from './left-over-cards.ts'
export { modelCard } from './model-card.ts'
export { Presence } from './presence.ts'
