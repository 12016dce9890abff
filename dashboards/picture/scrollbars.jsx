// A picture does not scroll.
export const Scrollbars = ({ children }) => <div style={{ overflow: 'hidden', height: '100%' }}>{children}</div>;
export default Scrollbars;
