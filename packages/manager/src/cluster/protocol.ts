/** The protocol that this version speaks with other managers; one older or newer works beside it. */
export const PROTOCOL = 1;
